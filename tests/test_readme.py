"""The README's Python, run as it stands there."""

from __future__ import annotations

from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


def example(mark: str, **replaced: str) -> str:
    """The code after a mark, with parts of it replaced, each of which must occur once."""
    text = README.read_text(encoding="utf-8")
    code = text.split(f"<!-- {mark} -->\n```python\n", 1)[1].split("```", 1)[0]
    for old, new in replaced.items():
        assert code.count(old) == 1
        code = code.replace(old, new)
    return code


@pytest.mark.filterwarnings("ignore:Dataloader CPU affinity")
def test_the_dgl_example_learns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On WN18RR itself, with every fourth triple, once."""
    monkeypatch.setenv("EMUGRAPH_CACHE", str(tmp_path))
    shorter = {"range(6)": "range(1)", "torch.arange(n), sampler": "torch.arange(0, n, 4), sampler"}
    code = example("DGL example", **shorter)
    exec(compile(code, str(README), "exec"), {})
    assert float(capsys.readouterr().out) > 0.01  # by chance it would be about .0003
