from __future__ import annotations

import errno
import json
import os
import threading
from pathlib import Path

import filelock
import pytest

from emugraph import EmugraphError, InputError
from emugraph.io.bounded_files import read_bounded
from emugraph.runs.folder import RunFolder


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    with RunFolder.create(tmp_path / "run") as folder:
        folder.write_text("graph/a.txt", "one\n")
        folder.write_json("b.json", {"x": [1]})
    return folder


def names(path: Path) -> list[str]:
    return sorted(p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file())


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path / "run") as folder:
        folder.write_text("a.txt", "one")
        assert not (tmp_path / "run").exists()
    assert names(tmp_path / "run") == ["a.txt", "manifest.json"]
    with pytest.raises(ZeroDivisionError), RunFolder.create(tmp_path / "other") as folder:
        folder.write_text("a.txt", "one")
        1 / 0  # noqa: B018
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    with pytest.raises(InputError, match="run already exists"), RunFolder.create(tmp_path / "run"):
        pass


def test_files_come_back_and_can_be_replaced_and_removed(folder: RunFolder) -> None:
    assert RunFolder.open(folder.path).read("graph/a.txt") == b"one\n"
    folder.write_text("graph/a.txt", "two\n")
    opened = RunFolder.open(folder.path)
    assert opened.read("graph/a.txt") == b"two\n"
    assert opened.read_json("b.json") == {"x": [1]}
    folder.remove("b.json")
    assert not RunFolder.open(folder.path).has("b.json")
    assert names(folder.path) == ["graph/a.txt", "manifest.json"]


@pytest.mark.parametrize("stage", ["before the name changes", "after it"])
def test_a_folder_whose_writer_was_killed_in_between_is_sound(
    stage: str, folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(BaseException):
        pass

    replace = Path.replace

    def kill(self: Path, target: Path) -> None:
        if target.name != "a.txt":
            replace(self, target)
            return
        if stage == "after it":
            replace(self, target)
        raise KilledError

    with monkeypatch.context() as patch, pytest.raises(KilledError):
        patch.setattr(Path, "replace", kill)
        folder.write_text("graph/a.txt", "two\n")
    opened = RunFolder.open(folder.path)
    assert opened.read("graph/a.txt") == (b"one\n" if stage == "before the name changes" else b"two\n")
    opened.write_text("graph/a.txt", "three\n")
    assert RunFolder.open(folder.path).read("graph/a.txt") == b"three\n"


@pytest.mark.parametrize("content", [b"ONE\n", b"on", b"one\n\0", b""])
def test_another_content_is_named(content: bytes, folder: RunFolder) -> None:
    (folder.path / "graph" / "a.txt").write_bytes(content)
    with pytest.raises(EmugraphError, match=r"a\.txt is damaged or another run's: manifest.json says otherwise"):
        RunFolder.open(folder.path).read("graph/a.txt")
    with pytest.raises(EmugraphError, match=r"a\.txt is damaged or another run's"):
        RunFolder.open(folder.path).opened("graph/a.txt").__enter__()


def test_missing_and_large_files_are_named(folder: RunFolder) -> None:
    with pytest.raises(EmugraphError, match=r"a\.txt is damaged: it is larger than the 2 B that it may have"):
        folder.read("graph/a.txt", 2)
    with pytest.raises(EmugraphError, match=r"c\.txt is missing"):
        folder.read("c.txt")
    (folder.path / "graph" / "a.txt").unlink()
    with pytest.raises(EmugraphError, match=r"cannot read .*a\.txt: No such file"):
        folder.read("graph/a.txt")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes here")
def test_a_pipe_is_not_waited_for(folder: RunFolder) -> None:
    os.mkfifo(folder.path / "pipe")
    with pytest.raises(EmugraphError, match="it is not a file"):
        read_bounded(folder.path / "pipe", None)


def test_a_file_without_end_takes_no_memory(folder: RunFolder) -> None:
    """A sparse file of a terabyte, which the manifest lists."""
    with (folder.path / "b.json").open("r+b") as file:
        file.truncate(1 << 40)
    manifest = json.loads((folder.path / "manifest.json").read_text(encoding="utf-8"))
    manifest["files"]["b.json"][0]["size"] = 1 << 40
    (folder.path / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(EmugraphError, match=r"b\.json is damaged: it is larger than"):
        RunFolder.open(folder.path).read("b.json")


@pytest.mark.parametrize(
    "manifest",
    ["", "[", "[]", "{}", '{"format": 2, "files": {"a": 3}}', '{"format": 2, "files": {"a": [{"size": 1}]}}',
     "[" * 9999, "9" * 9999, '{"format": 4, "files": {}}', '{"format": "2", "files": {}}', "\ud800"],
)  # fmt: skip
def test_a_damaged_manifest_is_named(manifest: str, folder: RunFolder) -> None:
    (folder.path / "manifest.json").write_bytes(manifest.encode("utf-8", "surrogatepass"))
    with pytest.raises(EmugraphError, match=r"manifest\.json (is damaged|has format)"):
        RunFolder.open(folder.path)


def test_a_folder_without_a_manifest(folder: RunFolder, tmp_path: Path) -> None:
    (folder.path / "manifest.json").unlink()
    with pytest.raises(InputError, match=r"is not a run folder: it has no manifest\.json"):
        RunFolder.open(folder.path)
    with pytest.raises(InputError, match="is not a run folder: No such file"):
        RunFolder.open(tmp_path / "nothing")
    with pytest.raises(InputError, match="is not a run folder: Not a directory"):
        RunFolder.open(folder.path / "b.json")
    (folder.path / "config.toml").write_text("format = 3\n", encoding="utf-8")
    with pytest.raises(EmugraphError, match=r"manifest\.json is missing"):
        RunFolder.open(folder.path)


def test_a_full_disk_leaves_what_was_there(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("emugraph.io.atomic.os.fsync", full)
        with pytest.raises(EmugraphError, match=r"no space left while writing .*run/"):
            folder.write_text("graph/a.txt", "two\n")
    assert RunFolder.open(folder.path).read("graph/a.txt") == b"one\n"
    assert names(folder.path) == ["b.json", "graph/a.txt", "manifest.json"]


def test_one_process_at_a_time(folder: RunFolder) -> None:
    other = filelock.FileLock(folder.path / ".lock", timeout=0)
    with other, pytest.raises(InputError, match="another process trains in"), folder.lock():
        pass
    with folder.lock(), pytest.raises(filelock.Timeout):
        other.acquire()


def test_what_a_killed_process_left_is_swept(folder: RunFolder) -> None:
    (folder.path / "checkpoints").mkdir()
    for left in (".b.json.x.partial", "graph/.a.txt.x.partial", "checkpoints/step-00000001.safetensors"):
        (folder.path / left).touch()
    folder.write_text("checkpoints/step-00000002.safetensors", "")
    with folder.lock():
        pass
    assert [name for name in names(folder.path) if name != ".lock"] == [
        "b.json", "checkpoints/step-00000002.safetensors", "graph/a.txt", "manifest.json",
    ]  # fmt: skip


def test_reading_while_another_replaces(folder: RunFolder) -> None:
    """Whatever the moment, a reader gets one of the contents, whole."""
    contents = [f"{i}\n" * 1000 for i in range(2)]
    folder.write_text("graph/a.txt", contents[0])
    ended = threading.Event()

    def write() -> None:
        writer = RunFolder.open(folder.path)
        for i in range(60):
            writer.write_text("graph/a.txt", contents[i % 2])
        ended.set()

    thread = threading.Thread(target=write)
    thread.start()
    reads = 0
    while not ended.is_set():
        assert RunFolder.open(folder.path).read("graph/a.txt").decode() in contents
        with RunFolder.open(folder.path).opened("graph/a.txt") as file:
            assert file.read().decode() in contents
        reads += 1
    thread.join()
    assert reads > 5


def test_the_log_is_cut_back(folder: RunFolder) -> None:
    for step in (1, 2, 3):
        folder.append_log({"step": step})
    with (folder.path / "log.jsonl").open("a", encoding="utf-8") as log:
        log.write('{"step": 2, "unfini')
    folder.cut_log(2)
    assert (folder.path / "log.jsonl").read_text(encoding="utf-8") == '{"step": 1}\n{"step": 2}\n'
