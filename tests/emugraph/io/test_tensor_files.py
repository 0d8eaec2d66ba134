from __future__ import annotations

import errno
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from emugraph import EmugraphError
from emugraph.io.tensor_files import nbytes, tensors_of, values_of, write_tensors


def test_tensors_and_values_come_back(tmp_path: Path) -> None:
    tensors = {"a": torch.randn(3, 2).T, "b": torch.tensor(5), "empty": torch.zeros(0, 3)}
    values = {"name": "\u2028 any", "list": [1, 2.5, None, True]}
    write_tensors(tmp_path / "file", tensors, values)
    content = (tmp_path / "file").read_bytes()
    back = tensors_of(content, tmp_path)
    assert back.keys() == tensors.keys()
    assert all(torch.equal(back[name], tensor) for name, tensor in tensors.items())
    assert values_of(content, tmp_path) == values
    assert nbytes(tensors) == 6 * 4 + 8


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 8,
        b"\xff" * 100,
        b"\x02" + b"\0" * 7 + b"{}",
        b"\x10" + b"\0" * 7 + b'{"a":{"dtype":1}}',
        b"[" * 9000,
    ],
)
def test_what_is_no_such_file_is_named(content: bytes) -> None:
    with pytest.raises(EmugraphError, match="somewhere is damaged"):
        values_of(content, Path("somewhere"))
    if content != b"\x02" + b"\0" * 7 + b"{}":  # sound, but empty
        with pytest.raises(EmugraphError, match="somewhere is damaged"):
            tensors_of(content, Path("somewhere"))


def test_a_full_disk_is_an_error_of_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("emugraph.io.tensor_files.save_file", full)
    with pytest.raises(OSError, match="No space left") as caught:
        write_tensors(tmp_path / "file", {"a": torch.zeros(10)})
    assert caught.value.errno == errno.ENOSPC
