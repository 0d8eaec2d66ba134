"""The examples on the pages of docs/, run as they stand there."""

from __future__ import annotations

from pathlib import Path

import pytest

PAGES = sorted((Path(__file__).parents[1] / "docs").glob("*.md"))


def blocks(page: Path) -> list[str]:
    """The pieces of Python on a page, in order."""
    return [part.split("```", 1)[0] for part in page.read_text(encoding="utf-8").split("```python\n")[1:]]


def test_each_module_has_its_page() -> None:
    assert [page.stem for page in PAGES] == ["losses", "mutation", "neighbors", "sampling"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_examples_of_a_page_run(page: Path) -> None:
    namespace: dict[str, object] = {}
    code = "".join(blocks(page))
    assert "assert" in code
    if "import dgl" in code:
        pytest.importorskip("dgl")
    exec(compile(code, str(page), "exec"), namespace)
