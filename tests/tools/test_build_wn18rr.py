"""The tool that makes the bundled WN18RR."""

from __future__ import annotations

import io
import lzma
import tarfile
from collections.abc import Callable
from types import ModuleType

import pytest

from emugraph.datasets import find_card
from emugraph.datasets.locate import BUNDLED, checked_files

# A WordNet of six synsets. Offset 00000100 is a noun, a verb and an adjective; 00000200 a noun and a verb.
# In the index, "dog" as a noun has its synset second, after one of another lemma.
WORDNET = {
    "data.noun": "  1 licence | text\n"
    "00000100 03 n 02 Dog 0 hound 0 001 @ 00000200 n 0000 | a dog | barks\n"
    "00000200 03 n 01 animal 0 002 ~ 00000100 n 0000 + 00000200 v 0101 | an animal\n",
    "data.verb": "  1 licence\n"
    "00000100 29 v 01 bark 0 001 @ 00000200 v 0000 01 + 02 00 | bark\n"
    "00000200 29 v 01 sound 0 001 + 00000200 n 0101 01 + 02 00 | sound\n",
    "data.adj": "00000100 00 a 01 loud(p) 0 001 & 00000300 a 0000 | loud\n"
    "00000300 00 s 0a noisy 0 b 0 c 0 d 0 e 0 f 0 g 0 h 0 i 0 j 0 001 & 00000100 a 0000 | noisy\n",
    "data.adv": "",
    "index.noun": "  1 licence\ndog n 2 1 @ 2 1 00000900 00000100  \nanimal n 1 2 ~ + 1 1 00000200  \n",
    "index.verb": "bark v 1 1 @ 1 0 00000100  \nsound v 1 1 + 1 0 00000200  \n",
    "index.adj": "loud a 1 1 & 1 0 00000100  \nnoisy a 3 1 & 3 1 00000400 00000500 00000300  \n",
    "index.adv": "",
}


@pytest.fixture(scope="module")
def tool(load_tool: Callable[[str], ModuleType]) -> ModuleType:
    return load_tool("build_wn18rr")


def test_names_of_synsets(tool: ModuleType) -> None:
    assert {key: synset.name for key, synset in tool.read_wordnet(WORDNET).items()} == {
        ("noun", "00000100"): "dog.n.02",
        ("noun", "00000200"): "animal.n.01",
        ("verb", "00000100"): "bark.v.01",
        ("verb", "00000200"): "sound.v.01",
        ("adj", "00000100"): "loud.a.01",
        ("adj", "00000300"): "noisy.s.03",
    }


@pytest.mark.parametrize(
    ("triples", "names"),
    [
        # The hypernym exists between the nouns; the verbs' data has it too: two for the noun 200, one each for 100.
        (
            [("00000100", "_hypernym", "00000200"), ("00000200", "_derivationally_related_form", "00000200")],
            {"00000100": "dog.n.02", "00000200": "animal.n.01"},
        ),
        ([("00000100", "_similar_to", "00000300")], {"00000100": "loud.a.01", "00000300": "noisy.s.03"}),
        (
            [("00000100", "_similar_to", "00000300"), ("00000300", "_similar_to", "00000100"),
             ("00000100", "_hypernym", "00000200")],
            {"00000100": "loud.a.01", "00000200": "animal.n.01", "00000300": "noisy.s.03"},
        ),
    ],
)  # fmt: skip
def test_triples_decide(tool: ModuleType, triples: list[tuple[str, str, str]], names: dict[str, str]) -> None:
    assert tool.name_entities(tool.read_wordnet(WORDNET), triples)[0] == names


def test_figures(tool: ModuleType) -> None:
    triples = [("00000100", "_hypernym", "00000200"), ("00000100", "_similar_to", "00000300")]
    assert tool.name_entities(tool.read_wordnet(WORDNET), triples)[1] == {
        "entities": 3,
        "distinct names": 3,
        "offsets in several parts of speech": 2,
        "of these, with triples of several": 2,
        "of these, with equally many": 2,
    }


def test_the_same_files_make_the_same_archive(tool: ModuleType) -> None:
    with checked_files(find_card("wn18rr")) as folder:
        files = {file.name: file.read_bytes() for file in folder.iterdir()}
    packed = tool.pack(dict(reversed(files.items())))
    # Compared unpacked, because another liblzma may compress in another way.
    assert lzma.decompress(packed) == lzma.decompress((BUNDLED / "wn18rr.tar.xz").read_bytes())
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        members = archive.getmembers()
    assert [(m.name, m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in members] == [
        (name, 0, 0, 0, "", "", 0o644) for name in ("test.txt", "train.txt", "valid.txt")
    ]
