"""Sums of files."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from emugraph import EmugraphError
from emugraph.io.checksums import Sums

# Published test values for the empty string and for "abc" (FIPS 180, RFC 1321), and git's id of the empty file.
EMPTY = {
    "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "md5": "d41d8cd98f00b204e9800998ecf8427e",
    "git_blob": "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391",
}
ABC = {
    "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    "md5": "900150983cd24fb0d6963f7d28e17f72",
    "git_blob": "f2ba8f84ab5c1bce84a7b441cb1959cfc7093b7f",  # printf abc | git hash-object --stdin
}


@pytest.mark.parametrize(("content", "sums"), [(b"", EMPTY), (b"abc", ABC)])
def test_right_file(tmp_path: Path, content: bytes, sums: dict[str, str]) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    Sums(**sums, size=len(content)).verify(file)
    for algorithm, digest in sums.items():
        Sums(**{algorithm: digest}).verify(file)
        Sums(**{algorithm: digest}).verify_content(content, file)
    Sums().verify(file)


@pytest.mark.parametrize("algorithm", ["sha256", "md5", "git_blob"])
def test_wrong_sum_names_file_and_both_sums(tmp_path: Path, algorithm: str) -> None:
    file = tmp_path / "file.txt"
    file.write_bytes(b"abc")
    with pytest.raises(EmugraphError) as caught:
        Sums(**{algorithm: EMPTY[algorithm]}).verify(file)
    assert caught.value.exit_code == 1
    for part in (str(file), algorithm, EMPTY[algorithm], ABC[algorithm]):
        assert part in str(caught.value)


def test_all_that_is_given_must_match(tmp_path: Path) -> None:
    file = tmp_path / "file.txt"
    file.write_bytes(b"abc")
    with pytest.raises(EmugraphError, match=r"md5"):
        Sums(sha256=ABC["sha256"], md5=EMPTY["md5"]).verify(file)
    with pytest.raises(EmugraphError, match=r"expected size 4 bytes, found 3 bytes"):
        Sums(sha256=ABC["sha256"], size=4).verify(file)


def test_unreadable_file(tmp_path: Path) -> None:
    with pytest.raises(EmugraphError, match=r"cannot read .*gone: No such file"):
        Sums(**ABC).verify(tmp_path / "gone")


@pytest.mark.parametrize("digest", ["", "abc", EMPTY["sha256"].upper(), EMPTY["sha256"] + "0", EMPTY["sha256"] + "\n"])
def test_digests_that_are_none(digest: str) -> None:
    with pytest.raises(ValidationError):
        Sums(sha256=digest)


def test_which_sums_are_known() -> None:
    assert Sums().algorithms == []
    assert Sums(size=3).algorithms == []
    assert Sums(git_blob=ABC["git_blob"], sha256=ABC["sha256"]).algorithms == ["sha256", "git_blob"]
