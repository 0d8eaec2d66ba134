"""Taking files out of archives that mean no good."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from emugraph import EmugraphError
from emugraph.datasets import archive as module
from emugraph.datasets.archive import extract
from emugraph.datasets.card import File

if TYPE_CHECKING:
    from .conftest import Toy

FILES = [File(name="train.txt"), File(name="valid.txt"), File(name="test.txt")]
SOUND = [("train.txt", b"1"), ("valid.txt", b"2"), ("test.txt", b"3")]

Member = tuple[str, bytes] | tarfile.TarInfo


def tar(path: Path, *members: Member) -> Path:
    with tarfile.open(path, "w:xz" if path.name.endswith("xz") else "w:gz") as packed:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                packed.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                packed.addfile(info, io.BytesIO(member[1]))
    return path


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    info.devmajor, info.devminor = 1, 5
    return info


@pytest.fixture
def into(tmp_path: Path) -> Path:
    folder = tmp_path / "inner" / "into"
    folder.mkdir(parents=True)
    return folder


def everything_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("suffix", [".tar.gz", ".tgz", ".tar.xz", ".zip"])
@pytest.mark.parametrize("folder", ["", "./", "Toy/", "./Toy/"])
def test_files_at_the_top_or_in_one_folder(tmp_path: Path, into: Path, toy: Toy, suffix: str, folder: str) -> None:
    toy.files = {"README": b"no", **toy.files, "more.txt": b"no"}
    packed = tmp_path / f"toy{suffix}"
    packed.write_bytes(toy.pack(suffix, folder))
    extract(packed, FILES, into)
    assert {file.name: file.read_bytes() for file in into.iterdir()} == {
        name: content for name, content in toy.files.items() if name in ("train.txt", "valid.txt", "test.txt")
    }


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (("../train.txt", b"x"), "leads outside"),
        (("../../train.txt", b"x"), "leads outside"),
        (("a/../train.txt", b"x"), "leads outside"),
        (("/train.txt", b"x"), "leads outside"),
        (("/tmp/train.txt", b"x"), "leads outside"),
        (special("train.txt", tarfile.SYMTYPE, "/etc/passwd"), "link or device"),
        (special("toy/train.txt", tarfile.SYMTYPE, "../../secret"), "link or device"),
        (special("train.txt", tarfile.LNKTYPE, "valid.txt"), "link or device"),
        (special("train.txt", tarfile.CHRTYPE), "link or device"),
        (special("train.txt", tarfile.BLKTYPE), "link or device"),
        (special("train.txt", tarfile.FIFOTYPE), "link or device"),
        (special("train.txt", tarfile.DIRTYPE), "does not hold train.txt"),
        (("a/b/train.txt", b"x"), "does not hold train.txt"),
        (("train.txt.exe", b"x"), "does not hold train.txt"),
        (("Train.txt", b"x"), "does not hold train.txt"),
        (("a\\train.txt", b"x"), "does not hold train.txt"),
    ],
)
def test_hostile_members(tmp_path: Path, into: Path, member: Member, message: str) -> None:
    (tmp_path / "inner" / "secret").write_bytes(b"secret")
    packed = tar(tmp_path / "toy.tar.gz", *SOUND[1:], member)
    with pytest.raises(EmugraphError, match=rf"toy.tar.gz .*{message}") as caught:
        extract(packed, FILES, into)
    assert caught.value.exit_code == 1
    assert everything_below(tmp_path) == [
        "inner", "inner/into", "inner/into/test.txt", "inner/into/valid.txt", "inner/secret", "toy.tar.gz",
    ]  # fmt: skip


def test_a_link_does_not_turn_a_later_write_elsewhere(tmp_path: Path, into: Path) -> None:
    packed = tar(
        tmp_path / "toy.tar.gz", special("toy", tarfile.SYMTYPE, str(tmp_path)), ("toy/train.txt", b"x"), *SOUND[1:]
    )
    extract(packed, FILES, into)
    assert everything_below(tmp_path) == [
        "inner", "inner/into", "inner/into/test.txt", "inner/into/train.txt", "inner/into/valid.txt", "toy.tar.gz",
    ]  # fmt: skip


def test_the_same_file_twice(tmp_path: Path, into: Path) -> None:
    packed = tar(tmp_path / "toy.tar.gz", *SOUND, ("other/train.txt", b"x"))
    with pytest.raises(EmugraphError, match=r"holds train.txt twice"):
        extract(packed, FILES, into)
    assert (into / "train.txt").read_bytes() == b"1"


def test_a_link_in_a_zip(tmp_path: Path, into: Path) -> None:
    info = zipfile.ZipInfo("train.txt")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "toy.zip", "w") as packed:
        packed.writestr(info, "/etc/passwd")
    with pytest.raises(EmugraphError, match="link or device"):
        extract(tmp_path / "toy.zip", FILES, into)
    assert everything_below(into) == []


@pytest.mark.parametrize("path", ["../train.txt", "/train.txt"])
def test_a_zip_that_leads_outside(tmp_path: Path, into: Path, path: str) -> None:
    with zipfile.ZipFile(tmp_path / "toy.zip", "w") as packed:
        packed.writestr(path, "x")
    with pytest.raises(EmugraphError, match="leads outside"):
        extract(tmp_path / "toy.zip", FILES, into)
    assert everything_below(tmp_path) == ["inner", "inner/into", "toy.zip"]


@pytest.mark.parametrize("suffix", [".tar.gz", ".tar.xz", ".zip"])
@pytest.mark.parametrize("known", [True, False])
def test_a_bomb(
    tmp_path: Path, into: Path, toy: Toy, monkeypatch: pytest.MonkeyPatch, suffix: str, known: bool
) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 1_000_000)
    toy.files["train.txt"] = bytes(20_000_000)
    packed = tmp_path / f"toy{suffix}"
    packed.write_bytes(toy.pack(suffix))
    assert packed.stat().st_size < 30_000
    files = [File(name="train.txt", size=5000 if known else None), *FILES[1:]]
    with pytest.raises(EmugraphError, match=r"larger than 5,000 bytes|larger than 1,000,000 bytes|far more than"):
        extract(packed, files, into)
    assert sum(file.stat().st_size for file in into.iterdir()) <= 1_000_000


@pytest.mark.parametrize("suffix", [".tar.gz", ".tar.xz"])
def test_a_bomb_among_what_is_skipped(tmp_path: Path, into: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 1_000_000)
    packed = tar(tmp_path / f"toy{suffix}", ("README", bytes(20_000_000)), *SOUND)
    with pytest.raises(EmugraphError, match="unpacks to far more than the data set"):
        extract(packed, FILES, into)


def test_the_files_together_are_bounded(tmp_path: Path, into: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 1_000_000)
    with zipfile.ZipFile(tmp_path / "toy.zip", "w") as packed:
        for name, _ in SOUND:
            packed.writestr(name, bytes(600_000))
    with pytest.raises(EmugraphError, match=r"valid.txt is larger than 400,000 bytes"):
        extract(tmp_path / "toy.zip", FILES, into)


@pytest.mark.parametrize("suffix", [".tar.gz", ".tgz", ".tar.xz", ".zip"])
@pytest.mark.parametrize("damage", ["empty", "text", "cut", "flipped"])
def test_damage(tmp_path: Path, into: Path, toy: Toy, suffix: str, damage: str) -> None:
    toy.files["train.txt"] = bytes(i * i % 251 for i in range(20_000))
    content = toy.pack(suffix)
    middle = len(content) // 3
    packed = tmp_path / f"toy{suffix}"
    packed.write_bytes(
        {
            "empty": b"",
            "text": b"<html>not found</html>",
            "cut": content[:middle],
            "flipped": content[:middle]
            + bytes(b ^ 0xFF for b in content[middle : middle + 50])
            + content[middle + 50 :],
        }[damage]
    )
    with pytest.raises(EmugraphError, match=r"is damaged, or no archive: .*; copy or download it again"):
        extract(packed, FILES, into)


def test_an_encrypted_zip(tmp_path: Path, into: Path, toy: Toy) -> None:
    content = bytearray(toy.pack(".zip"))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # the flags, in both headers
        at = content.index(signature)
        content[at + offset] |= 1
    (tmp_path / "toy.zip").write_bytes(content)
    with pytest.raises(EmugraphError, match="is damaged, or no archive: .*encrypted"):
        extract(tmp_path / "toy.zip", FILES, into)


def test_no_archive(tmp_path: Path, into: Path) -> None:
    with pytest.raises(EmugraphError, match=r"cannot read .*gone.tar.gz: No such file"):
        extract(tmp_path / "gone.tar.gz", FILES, into)
