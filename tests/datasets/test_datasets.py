"""The package's own functions."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from emugraph import InputError, datasets

if TYPE_CHECKING:
    from .conftest import Server, Toy

Write = Callable[[dict[str, Any]], Path]


def test_all_is_there() -> None:
    assert all(hasattr(datasets, name) for name in datasets.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        datasets.nothing  # noqa: B018


def test_listing_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom emugraph import datasets\ndatasets.list_cards()\ndatasets.where('wn18rr')\n"
        "print({'torch', 'numpy', 'pooch', 'requests', 'rich', 'dgl'} & set(sys.modules))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.parametrize("function", [datasets.find_card, datasets.where, datasets.download, datasets.load])
def test_unknown_names(function: Callable[[str], object]) -> None:
    with pytest.raises(InputError, match=r"unknown data set 'wn18'. Did you mean 'wn18rr'"):
        function("wn18")


def test_download_brings_the_names_too(toy: Toy, write_card: Write, server: Server) -> None:
    content, table = toy.pack(), b"a\tAnna\n"
    names = {"format": "tsv", "name": "names.tsv", "urls": [server.publish("/names", table)]}
    names["sha256"] = hashlib.sha256(table).hexdigest()
    write_card(toy.archive_values([server.publish("/Toy", content)], content, names=names))
    place = datasets.download("toy")
    server.answers.clear()
    assert datasets.where("toy") == place
    data = datasets.load("toy")
    assert data.entity_names == ["Anna", None, None, None]
    assert server.requests == ["/Toy", "/names"]


def test_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folders = datasets.folders()
    assert folders == {
        "cards": Path(os.environ["EMUGRAPH_CARDS"]),
        "cache": Path(os.environ["EMUGRAPH_CACHE"]) / "datasets",
    }
    monkeypatch.setenv("EMUGRAPH_DATASETS", str(tmp_path))
    assert datasets.folders() == {"datasets": tmp_path, **folders}
