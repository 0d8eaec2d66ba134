"""Labelled triples from files."""

from __future__ import annotations

import csv
import gzip
import io
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emugraph.data import triple_files
from emugraph.data.triple_files import LabelledSplits, read_and_split, read_files, read_folder
from emugraph.errors import InputError

Triple = tuple[str, str, str]


def write(path: Path, text: str) -> Path:
    path.write_bytes(text.encode("utf-8"))
    return path


def folder_with(folder: Path, train: str, suffix: str = ".txt") -> Path:
    """A folder whose valid and test repeat one sound triple."""
    folder.mkdir(exist_ok=True)
    one = "a,r,b\n" if suffix.startswith(".csv") else "a\tr\tb\n"
    for split, text in (("train", train), ("valid", one), ("test", one)):
        write(folder / f"{split}{suffix}", text)
    return folder


def labelled(read: LabelledSplits, split: str = "train") -> list[Triple]:
    return [(read.entities[h], read.relations[r], read.entities[t]) for h, r, t in read.splits[split].tolist()]


def test_other_readers_of_csv_keep_their_limit(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    assert before < triple_files._LONGEST_LINE
    long = "x" * (2 * before)
    read = read_folder(folder_with(tmp_path / "sound", f'"{long}",r,b\n', ".csv"))
    assert read.entities[0] == long
    assert csv.field_size_limit() == before
    with pytest.raises(csv.Error, match="field larger than field limit"):
        list(csv.reader([long]))
    with pytest.raises(InputError, match="line 2: cannot be read as CSV"):
        read_folder(folder_with(tmp_path / "broken", f'{long},r,b\n"a,r,b\n', ".csv"))
    assert csv.field_size_limit() == before


def test_a_higher_limit_of_the_programs_stays(tmp_path: Path) -> None:
    before = csv.field_size_limit(1 << 28)
    try:
        read_folder(folder_with(tmp_path / "sound", "a,r,b\n", ".csv"))
        assert csv.field_size_limit() == 1 << 28
    finally:
        csv.field_size_limit(before)


def test_csv_files_are_read_side_by_side(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    long = "x" * (2 * before)
    folders = [folder_with(tmp_path / f"{i}", f"{long},r,b\n" * 50, ".csv") for i in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for read in pool.map(read_folder, folders):
            assert read.entities[0] == long
    assert csv.field_size_limit() == before


def test_ids_follow_the_first_appearance(tmp_path: Path) -> None:
    write(tmp_path / "train.txt", "b\tlikes\ta\na\tknows\tc\n")
    write(tmp_path / "valid.tsv", "d\tlikes\tb\n")
    write(tmp_path / "test.csv", "a,hates,e\nc,likes,d\n")
    read = read_folder(tmp_path)
    assert read.entities.labels == ["b", "a", "c", "d", "e"]
    assert read.relations.labels == ["likes", "knows", "hates"]
    assert read.splits["train"].tolist() == [[0, 0, 1], [1, 1, 2]]
    assert read.splits["valid"].tolist() == [[3, 0, 0]]
    assert read.splits["test"].tolist() == [[1, 2, 4], [2, 0, 3]]
    assert all(t.dtype == torch.int64 and t.is_contiguous() for t in read.splits.values())
    assert read.counts == {"entities": 5, "relations": 3, "train": 2, "valid": 1, "test": 2}
    assert list(read.splits) == ["train", "valid", "test"]


STRANGE = ["", "nan", "NULL", " a ", '"quoted"', '"', "a,b", "ü\u2028\x85\x0b\x0c\x1c", "e\u0301", "a\rb", "\x00"]


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("suffix", [".txt", ".tsv.gz", ".csv"])
def test_labels_come_back_unchanged(tmp_path: Path, suffix: str, ending: str) -> None:
    labels = [*STRANGE, "x" * 10_000]
    if suffix == ".csv":
        labels.append('tab\t, newline\n, crlf\r\n and "quotes"')
        labels.remove("\x00")  # Python 3.10's csv refuses it
    triples = [(label, f"relation {label}", label) for label in labels]
    if suffix == ".csv":
        stream = io.StringIO(newline="")
        csv.writer(stream, quoting=csv.QUOTE_ALL, lineterminator=ending).writerows(triples)
        text = stream.getvalue()
    else:
        text = "".join("\t".join(triple) + ending for triple in triples)
    file = tmp_path / f"train{suffix}"
    file.write_bytes(gzip.compress(text.encode()) if suffix.endswith(".gz") else text.encode())
    one = write(tmp_path / "one.txt", "a\tr\tb")
    assert labelled(read_files({"train": file, "valid": one, "test": one})) == triples


@pytest.mark.parametrize("text", ["a\tr\tb", "a\tr\tb\n", "a\tr\tb\r\n", "a\tr\tb\n\n\r\n\n", "\ufeffa\tr\tb\n"])
def test_ends_of_files_and_byte_order_mark(tmp_path: Path, text: str) -> None:
    assert labelled(read_folder(folder_with(tmp_path, text))) == [("a", "r", "b")]


@pytest.mark.parametrize("text", ["a,r,b", "a,r,b\n", "a,r,b\r\n\r\n\n", "\ufeffa,r,b\n", '\ufeff"a",r,"b"\n'])
def test_ends_of_csv_files_and_byte_order_mark(tmp_path: Path, text: str) -> None:
    assert labelled(read_folder(folder_with(tmp_path, text, ".csv"))) == [("a", "r", "b")]


def test_blocks_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    triples = [(f"é{i % 7}", f"r{i % 3}", "x" * (i % 11)) for i in range(200)]
    folder = folder_with(tmp_path, "\r\n".join("\t".join(t) for t in triples) + "\r\n\r\n\n")
    for size in (1, 2, 3, 7, 64, 1 << 20):
        monkeypatch.setattr(triple_files, "_BLOCK", size)
        assert labelled(read_folder(folder)) == triples


def test_format_overrides_the_name(tmp_path: Path) -> None:
    one = write(tmp_path / "one.txt", "a,r,b")
    assert labelled(read_files(dict.fromkeys(("train", "valid", "test"), one), "csv")) == [("a", "r", "b")]


@pytest.mark.parametrize(
    ("suffix", "text", "line", "actual"),
    [
        (".txt", "a\tr\tb\na\tr\n", 2, r"2 columns where 3 are expected .*separated by tabs\): 'a\\tr'"),
        (".txt", "a\tr\tb\tc\n", 1, r"4 columns .*'a\\tr\\tb\\tc'"),
        (".tsv", "a r b\n", 1, r"1 column where .*'a r b'"),
        (".txt", "a\tr\tb\tc\nd\te\n", 1, "4 columns"),  # six columns in two lines are not two triples
        (".txt", "a\tr\tb\n\na\tr\tb\n", 2, "the line is empty"),
        (".txt", "\na\tr\tb\n", 1, "the line is empty"),
        (".txt", "a\tr\tb\n \n", 2, "1 column where"),
        (".txt", "a\tr\tb\r\n\r\na\tr\tb", 2, "the line is empty"),
        (".txt", "a\tr\t" + "b" * 1000 + "\tc\n", 1, r"b{70,80}\.\.\.'"),
        (".csv", "a,r,b\na,r\n", 2, r"2 columns .*separated by commas\): 'a,r'"),
        (".csv", "a,r,b\n\na,r,b\n", 2, "the line is empty"),
        (".csv", '"a\nb",r,c\na,r,b,c\n', 3, "4 columns"),
        (".csv", 'a,r,b\n"a,r,b\nx,y,z\n', 2, "cannot be read as CSV"),
        (".csv", 'a,r,"b"c\n', 1, "cannot be read as CSV"),
        (".csv", "a\rb,r,c\n", 1, "cannot be read as CSV"),
    ],
)
def test_malformed_lines(tmp_path: Path, suffix: str, text: str, line: int, actual: str) -> None:
    folder = folder_with(tmp_path, text, suffix)
    with pytest.raises(InputError, match=rf"train{suffix}, line {line}: .*{actual}"):
        read_folder(folder)


def test_a_malformed_line_far_into_the_file(tmp_path: Path) -> None:
    good = "some entity\tsome relation\tanother entity\n" * 100_000
    folder = folder_with(tmp_path, good + "bad\n" + good)
    with pytest.raises(InputError, match=r"train.txt, line 100001: 1 column"):
        read_folder(folder)


@pytest.mark.parametrize(("suffix", "separator"), [(".txt", b"\t"), (".csv", b",")])
def test_not_utf8(tmp_path: Path, suffix: str, separator: bytes) -> None:
    folder = folder_with(tmp_path, "", suffix)
    good = separator.join([b"a", b"r", b"b"]) + b"\n"
    (folder / f"train{suffix}").write_bytes(good * 2 + separator.join([b"a", b"r", b"caf\xe9"]) + b"\n" + good)
    with pytest.raises(InputError, match=rf"train{suffix}, line 3: byte 0xe9 is not UTF-8; save"):
        read_folder(folder)


def test_utf16_is_told_as_such(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, "")
    (folder / "train.txt").write_bytes("a\tr\tb\n".encode("utf-16"))
    with pytest.raises(InputError, match=r"line 1: byte 0xff is not UTF-8"):
        read_folder(folder)


def test_damaged_gzip(tmp_path: Path) -> None:
    one = write(tmp_path / "one.txt", "a\tr\tb")
    files = {"train": tmp_path / "train.txt.gz", "valid": one, "test": one}
    sound = gzip.compress(b"a\tr\tb\n" * 1000)
    files["train"].write_bytes(b"a\tr\tb\n")
    with pytest.raises(InputError, match=r"train.txt.gz is not a sound gzip file.*take .gz off"):
        read_files(files)
    files["train"].write_bytes(sound[:-10])
    with pytest.raises(InputError, match=r"train.txt.gz is cut short"):
        read_files(files)
    files["train"].write_bytes(sound[:20] + b"\xff\xff" + sound[22:])
    with pytest.raises(InputError, match=r"train.txt.gz is not a sound gzip file"):
        read_files(files)
    files["train"].write_bytes(sound)
    assert len(read_files(files).splits["train"]) == 1000


def test_an_endless_line_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triple_files, "_BLOCK", 10)
    monkeypatch.setattr(triple_files, "_LONGEST_LINE", 1 << 20)
    folder = folder_with(tmp_path, "a\tr\tb\n" + "x" * (1 << 21))
    with pytest.raises(InputError, match=r"line 2: longer than 1 MiB"):
        read_folder(folder)


def test_folder_with_something_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read the folder .*nowhere"):
        read_folder(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"no train file; looked for train.txt, train.tsv, train.csv"):
        read_folder(tmp_path)
    folder_with(tmp_path, "a\tr\tb")
    write(tmp_path / "valid.tsv.gz", "")
    with pytest.raises(InputError, match=r"more than one valid file: valid.txt, valid.tsv.gz"):
        read_folder(tmp_path)
    with pytest.raises(InputError, match=r"train.txt is not a folder.*--split"):
        read_folder(tmp_path / "train.txt")


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_empty_split(tmp_path: Path, split: str) -> None:
    write(folder_with(tmp_path, "a\tr\tb") / f"{split}.txt", "\n")
    with pytest.raises(InputError, match=rf"empty split: .*{split}.txt holds no triple.*--split"):
        read_folder(tmp_path)


def test_a_folder_where_a_file_should_be(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, "")
    (folder / "train.txt").unlink()
    (folder / "train.txt").mkdir()
    with pytest.raises(InputError, match=r"cannot read .*train.txt: Is a directory"):
        read_folder(folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, "a\tr\tb")
    (folder / "train.txt").chmod(0)
    with pytest.raises(InputError, match=r"cannot read .*train.txt: Permission denied"):
        read_folder(folder)


# ---------------------------------------------------------------- one file


def test_read_and_split(tmp_path: Path) -> None:
    # Every pair of 5 entities in both directions: 20 triples of which 4 and 2 leave train.
    triples = [(f"e{i}", "r", f"e{j}") for i in range(5) for j in range(5) if i != j]
    file = write(tmp_path / "all.tsv", "\n".join("\t".join(t) for t in triples))
    read = read_and_split(file, (0.7, 0.2, 0.1), seed=7)
    assert read.counts == {"entities": 5, "relations": 1, "train": 14, "valid": 4, "test": 2}
    assert sorted(t for split in read.splits for t in labelled(read, split)) == triples
    for split in read.splits:
        assert labelled(read, split) == [t for t in triples if t in labelled(read, split)]
    again = read_and_split(file, (0.7, 0.2, 0.1), seed=7)
    assert all(torch.equal(read.splits[split], again.splits[split]) for split in read.splits)
    assert read.entities == again.entities


def test_read_and_split_numbers_labels_like_a_folder(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    file = write(tmp_path / "all.txt", "".join(f"{h}\tr{r}\t{t}\n" for h, r, t in rng.integers(0, 9, (200, 3))))
    read = read_and_split(file, (0.6, 0.2, 0.2), seed=0)
    for split in read.splits:
        write(tmp_path / f"{split}.txt", "".join("\t".join(t) + "\n" for t in labelled(read, split)))
    back = read_folder(tmp_path)
    assert back.entities == read.entities
    assert back.relations == read.relations
    assert all(torch.equal(back.splits[split], read.splits[split]) for split in read.splits)


def test_read_and_split_refuses(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="sum to 0.9"):
        read_and_split(tmp_path / "unread.txt", (0.7, 0.1, 0.1), seed=0)
    with pytest.raises(InputError, match="holds no triple"):
        read_and_split(write(tmp_path / "empty.txt", ""), (0.8, 0.1, 0.1), seed=0)
    with pytest.raises(InputError, match="does not say its format; name it .txt or .tsv"):
        read_and_split(write(tmp_path / "triples.dat", "a\tr\tb"), (0.8, 0.1, 0.1), seed=0)
    with pytest.raises(InputError, match=r"cannot read .*nowhere.txt: No such file"):
        read_and_split(tmp_path / "nowhere.txt", (0.8, 0.1, 0.1), seed=0)


# ---------------------------------------------------------------- laws

plain_labels = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\t\n\r"), max_size=8)
quotable_labels = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=8)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(triples=st.lists(st.tuples(plain_labels, plain_labels, plain_labels), min_size=1, max_size=20))
def test_what_is_written_as_tsv_is_read(tmp_path: Path, triples: list[Triple]) -> None:
    assert labelled(read_folder(folder_with(tmp_path, "\n".join("\t".join(t) for t in triples)))) == triples


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(triples=st.lists(st.tuples(quotable_labels, quotable_labels, quotable_labels), min_size=1, max_size=20))
def test_what_is_written_as_csv_is_read(tmp_path: Path, triples: list[Triple]) -> None:
    stream = io.StringIO(newline="")
    csv.writer(stream).writerows(triples)
    assert labelled(read_folder(folder_with(tmp_path, stream.getvalue(), ".csv"))) == triples


def test_reading_leaves_the_limits_of_the_csv_module_alone(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    assert before == 131072  # Python's own: importing emugraph has not changed it
    long = "x" * 200_000
    for name in ("train", "valid", "test"):
        write(tmp_path / f"{name}.csv", f"{long},r,b\n")
    assert read_folder(tmp_path).entities[0] == long
    assert csv.field_size_limit() == before
    write(tmp_path / "train.csv", "a,r\n")
    with pytest.raises(InputError):
        read_folder(tmp_path)
    assert csv.field_size_limit() == before
