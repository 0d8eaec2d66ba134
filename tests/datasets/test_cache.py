"""The folders in which data sets lie."""

from __future__ import annotations

from pathlib import Path

import pytest

from emugraph import InputError
from emugraph.datasets.cache import cache_folder, cards_folder, own_folder


def test_where_the_folders_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, name in (("EMUGRAPH_CACHE", "cache"), ("EMUGRAPH_CARDS", "cards"), ("EMUGRAPH_DATASETS", "own")):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(variable, str(tmp_path / name))
    assert cache_folder() == tmp_path / "cache" / "datasets"
    assert cards_folder() == tmp_path / "cards"
    assert own_folder() == tmp_path / "own"
    for variable in ("EMUGRAPH_CACHE", "EMUGRAPH_CARDS", "EMUGRAPH_DATASETS"):
        monkeypatch.setenv(variable, "")  # set to nothing is not set
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg-cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg-config"))
    assert cache_folder() == tmp_path / "xdg-cache" / "emugraph" / "datasets"
    assert cards_folder() == tmp_path / "xdg-config" / "emugraph" / "datasets"
    assert own_folder() is None


@pytest.mark.parametrize(("variable", "folder"), [("EMUGRAPH_CARDS", cards_folder), ("EMUGRAPH_DATASETS", own_folder)])
def test_a_variable_that_names_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable, folder) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv(variable, str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match=rf"{variable} is .*nowhere', which is no folder"):
        folder()
