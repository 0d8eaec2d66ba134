from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from emugraph.kernels import native


@pytest.fixture
def _compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the compiled kernels; skipped where there are none."""
    monkeypatch.delenv("EMUGRAPH_KERNELS", raising=False)
    if not native.available():
        pytest.skip("no C++ compiler")


@pytest.fixture
def threads() -> Iterator[None]:
    """Puts the number of threads back."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
