from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest

from emugraph import EmugraphError
from emugraph.io.atomic import building, replacing, write_text


def test_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.txt"
    write_text(path, "one")
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_text("half", encoding="utf-8")
        1 / 0  # noqa: B018
    assert path.read_text(encoding="utf-8") == "one"
    assert list(path.parent.iterdir()) == [path]


def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    with (
        pytest.raises(EmugraphError, match=r"no space left while writing .*file\.txt; free some space"),
        replacing(path),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(EmugraphError, match="cannot write"):
        write_text(tmp_path / "file" / "below.txt", "x")


# ---------------------------------------------------------------- folders that appear whole or not at all


def is_sound(folder: Path) -> bool:
    return (folder / "file").read_text(encoding="utf-8") == "good"


def fill(folder: Path, text: str = "good") -> None:
    (folder / "file").write_text(text, encoding="utf-8")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_appears_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "new" / "target"
    with building(target, is_sound) as folder:
        fill(folder)
        assert folder.parent == target.parent
        assert not target.exists()
    assert names(target) == ["file"]
    assert names(target.parent) == ["target"]


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_nothing_is_left_of_a_folder_that_failed(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), building(tmp_path / "target", is_sound) as folder:
        fill(folder)
        raise error
    assert names(tmp_path) == []


def test_the_first_of_two_stays_if_it_is_sound(tmp_path: Path) -> None:
    target = tmp_path / "target"
    with building(target, is_sound) as slow:
        fill(slow)
        with building(target, is_sound) as fast:
            fill(fast)
        first = target.stat().st_ino
    assert target.stat().st_ino == first
    assert names(tmp_path) == ["target"]


def test_a_damaged_folder_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    fill(target, "bad")
    (target / "more").touch()
    with building(target, is_sound) as folder:
        fill(folder)
    assert is_sound(target)
    assert names(target) == ["file"]
    assert names(tmp_path) == ["target"]


def test_left_overs_are_removed_when_they_are_old(tmp_path: Path) -> None:
    day = 24 * 3600
    old, new, busy = (f".target.{digit * 32}.partial" for digit in "abc")
    for name, age in (
        (old, day + 60),
        (new, 60),
        (busy, day + 60),
        (".mine.partial", day + 60),
    ):
        folder = tmp_path / name
        folder.mkdir()
        fill(folder)
        for path in (folder / "file", folder):
            os.utime(path, (time.time() - age,) * 2)
    fill(tmp_path / busy)  # an old folder, but something is being written in it
    with building(tmp_path / "target", is_sound) as folder:
        fill(folder)
    assert names(tmp_path) == [".mine.partial", new, busy, "target"]


def test_a_full_disk_while_a_folder_is_built(tmp_path: Path) -> None:
    with (
        pytest.raises(
            EmugraphError, match=r"no space left while writing .*target; free some space or set EMUGRAPH_CACHE"
        ),
        building(tmp_path / "target", is_sound),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert names(tmp_path) == []


def test_a_cache_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(EmugraphError, match=r"cannot write .*target: Not a directory; set EMUGRAPH_CACHE to another"),
        building(tmp_path / "file" / "deeper" / "target", is_sound),
    ):
        pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_cache(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with (
        pytest.raises(EmugraphError, match=r"cannot write .*: Permission denied; set EMUGRAPH_CACHE to another folder"),
        building(tmp_path / "target", is_sound),
    ):
        pass


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_files_have_the_rights_that_others_would_have(
    umask: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = os.umask(umask)
    try:
        with monkeypatch.context() as patched:
            # It is the whole process's: another thread's files would be open to all for a moment.
            patched.setattr(os, "umask", lambda mask: pytest.fail("the process's umask was changed"))
            write_text(tmp_path / "file", "content")
        assert (tmp_path / "file").stat().st_mode & 0o777 == 0o666 & ~umask
    finally:
        os.umask(before)
