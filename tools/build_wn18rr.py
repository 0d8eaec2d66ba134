"""Make the bundled WN18RR: ``wn18rr.tar.xz`` and ``wn18rr-names.tsv.xz``.

    python tools/build_wn18rr.py --triples WN18RR --wordnet WNdb-3.0.tar.gz --output datasets/bundled

Inputs, both checked by their sums: a folder with WN18RR's train.txt, valid.txt and test.txt (card: wn18rr), and
WordNet 3.0's database as Princeton publishes it, WNdb-3.0.tar.gz. Distributions that rebuild the database (Debian's
wordnet-base) will not do: in theirs, verbs and adjectives have moved to other offsets. The same inputs give the same
output, whatever the time, the user and the folder; only another liblzma may compress in another way.

WN18RR's entities are offsets into WordNet's files, eight digits, which are unique only within a part of speech. The
names are those of NLTK: the synset's first lemma, its part of speech, and its number among the senses of that lemma:
02084071 is dog.n.01. Where an offset exists in several parts of speech, the triples decide, since each is a pointer
from one synset to another in WordNet: the offset is named after the synset that has most of its triples (of two with
equally many: noun before verb before adjective before adverb). The figures are printed.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import lzma
import re
import tarfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from emugraph.datasets import find_card

WORDNET_SHA256 = "658b1ba191f5f98c2e9bae3e25c186013158f30ef779f191d2a44e5d25046dc8"

FILES = ("noun", "verb", "adj", "adv")
FILE_OF = {"n": "noun", "v": "verb", "a": "adj", "s": "adj", "r": "adv"}
# The pointer from head to tail in WordNet that a relation stands for (wninput(5WN)).
POINTER_OF = {
    "_also_see": "^",
    "_derivationally_related_form": "+",
    "_has_part": "%p",
    "_hypernym": "@",
    "_instance_hypernym": "@i",
    "_member_meronym": "%m",
    "_member_of_domain_region": "-r",
    "_member_of_domain_usage": "-u",
    "_similar_to": "&",
    "_synset_domain_topic_of": ";c",
    "_verb_group": "$",
}

Key = tuple[str, str]
"""A synset: its file ("noun", ...) and its offset."""


@dataclass(frozen=True)
class Synset:
    """One line of a data file."""

    name: str
    pointers: frozenset[tuple[str, Key]]


def read_wordnet(files: Mapping[str, str]) -> dict[Key, Synset]:
    """The synsets in WordNet's files.

    Args:
        files: the text of "data.noun", "index.noun", and so on.
    """
    senses = {
        (file, line.split(" ", 1)[0]): line.split() for file in FILES for line in _entries(files[f"index.{file}"])
    }
    synsets = {}
    for file in FILES:
        for line in _entries(files[f"data.{file}"]):
            # offset, lexicographer's file, part of speech, number of words (hexadecimal), (word, id)...,
            # number of pointers, (symbol, offset, part of speech, source and target word)..., and more
            offset, _, part, words, first, *rest = line.split()
            lemma = re.sub(r"\((?:a|p|ip)\)$", "", first).lower()
            after_words = rest[2 * int(words, 16) - 1 :]
            pointers = after_words[1 : 1 + 4 * int(after_words[0])]
            # The offsets of a lemma's senses, the most frequent first, end its line in the index.
            index = senses[file, lemma]
            number = index[-int(index[2]) :].index(offset) + 1
            synsets[file, offset] = Synset(
                f"{lemma}.{part}.{number:02d}",
                frozenset(
                    (symbol, (FILE_OF[target_part], target))
                    for symbol, target, target_part in zip(pointers[::4], pointers[1::4], pointers[2::4], strict=True)
                ),
            )
    return synsets


def _entries(text: str) -> Iterable[str]:
    """The lines that are not of the licence, which are indented."""
    return (line for line in text.split("\n") if line and not line.startswith(" "))


def count_triples(synsets: Mapping[Key, Synset], triples: Iterable[tuple[str, str, str]]) -> dict[str, Counter[str]]:
    """For each entity, how many of its triples are pointers of its synset in each file."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for head, relation, tail in triples:
        for head_file in FILES:
            for tail_file in FILES:
                synset = synsets.get((head_file, head))
                if synset and (POINTER_OF[relation], (tail_file, tail)) in synset.pointers:
                    found[head][head_file] += 1
                    found[tail][tail_file] += 1
    return found


def name_entities(
    synsets: Mapping[Key, Synset], triples: Iterable[tuple[str, str, str]]
) -> tuple[dict[str, str], dict[str, int]]:
    """The name of each entity, by offset, and figures of how clear they are."""
    found = count_triples(synsets, triples)
    names = {offset: synsets[max(FILES, key=lambda file: found[offset][file]), offset].name for offset in sorted(found)}
    figures = {
        "entities": len(names),
        "distinct names": len(set(names.values())),
        "offsets in several parts of speech": sum(sum((file, o) in synsets for file in FILES) > 1 for o in names),
        "of these, with triples of several": sum(len(found[offset]) > 1 for offset in names),
        "of these, with equally many": sum(
            len(counts) > 1 and counts[0][1] == counts[1][1] for counts in (found[o].most_common(2) for o in names)
        ),
    }
    return names, figures


def pack(files: Mapping[str, bytes]) -> bytes:
    """A tar archive that depends on names and contents alone, compressed."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(files):
            member = tarfile.TarInfo(name)
            member.size = len(files[name])
            archive.addfile(member, io.BytesIO(files[name]))
    return compress(stream.getvalue())


def compress(content: bytes) -> bytes:
    """Content as small as xz makes it."""
    return lzma.compress(content, preset=9 | lzma.PRESET_EXTREME)


def main() -> None:
    """Read the inputs, check them, write the output, print figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--triples", type=Path, required=True, help="folder with WN18RR's three files")
    parser.add_argument("--wordnet", type=Path, required=True, help="WNdb-3.0.tar.gz")
    parser.add_argument("--output", type=Path, required=True, help="folder to write to")
    arguments = parser.parse_args()

    contents = {}
    for file in find_card("wn18rr").files.by_split().values():
        file.verify(arguments.triples / file.name)
        contents[file.name] = (arguments.triples / file.name).read_bytes()
    database = arguments.wordnet.read_bytes()
    if hashlib.sha256(database).hexdigest() != WORDNET_SHA256:
        parser.error(f"{arguments.wordnet} is not WordNet's WNdb-3.0.tar.gz (sha256 {WORDNET_SHA256})")
    with tarfile.open(fileobj=io.BytesIO(database)) as archive:
        wordnet = {}
        for member in archive:
            stream = archive.extractfile(member)
            if stream:
                wordnet[member.name.rpartition("/")[2]] = stream.read().decode("ascii")

    triples = [
        (head, relation, tail)
        for content in contents.values()
        for head, relation, tail in (line.split("\t") for line in content.decode("ascii").split("\n") if line)
    ]
    names, figures = name_entities(read_wordnet(wordnet), triples)
    table = "".join(f"{offset}\t{name}\n" for offset, name in names.items()).encode("ascii")
    (arguments.output / "wn18rr.tar.xz").write_bytes(pack(contents))
    (arguments.output / "wn18rr-names.tsv.xz").write_bytes(compress(table))
    figures["entities not in train"] = len(names) - len(
        {e for line in contents["train.txt"].decode("ascii").split("\n") if line for e in line.split("\t")[::2]}
    )
    for what, figure in figures.items():
        print(f"{what}: {figure:,}")
    print(f"sha256 of the names, before compression: {hashlib.sha256(table).hexdigest()}")


if __name__ == "__main__":
    main()
