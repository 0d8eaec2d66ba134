"""The tests compile into a folder of their own, and never into the user's cache."""

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMUGRAPH_CACHE", str(tmp_path_factory.mktemp("kernels")))
        yield


@pytest.fixture(params=["native", "eager"])
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each test that asks for it runs once with the compiled kernels and once with PyTorch alone."""
    from emugraph.kernels import native

    monkeypatch.delenv("EMUGRAPH_KERNELS", raising=False)
    if request.param == "eager":
        monkeypatch.setenv("EMUGRAPH_KERNELS", "off")
    elif not native.available():
        pytest.skip("no C++ compiler")
    return request.param
