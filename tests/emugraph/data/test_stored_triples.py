from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from emugraph import EmugraphError
from emugraph.data.stored_triples import StoredRows, stored_rows


@given(rows=st.integers(0, 9), columns=st.integers(1, 3), piece=st.integers(1, 10), wide=st.booleans())
def test_pieces_make_the_whole(
    rows: int, columns: int, piece: int, wide: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    generator = torch.Generator().manual_seed(rows)
    matrix = torch.randint(-(2**31), 2**31, (rows, columns), generator=generator)
    path = tmp_path_factory.getbasetemp() / "rows.safetensors"
    stored = {"before": torch.arange(6).view(2, 3), "some": matrix if wide else matrix.int()}
    save_file(stored, path, {"values": "{}"})
    actual = stored_rows(path)
    assert actual.keys() == stored.keys()
    path.unlink()  # which an open file outlives
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("emugraph.data.stored_triples.PIECE", piece)
        pieces = list(actual["some"].pieces())
        assert all(len(some) == piece for some in pieces[:-1])
        assert torch.equal(torch.cat(pieces), matrix)
        assert torch.equal(actual["some"].whole(), matrix)
    assert len(actual["some"]) == rows
    assert torch.equal(actual["before"].whole(), torch.arange(6).view(2, 3))


def header(**tensors: object) -> bytes:
    content = json.dumps(tensors).encode()
    return len(content).to_bytes(8, "little") + content


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 100,
        b"[" * 9000,
        header(a={"dtype": "I32", "shape": [2, 3], "data_offsets": [0, 24]}),
        header(a={"dtype": "I32", "shape": [2, 3], "data_offsets": [0, 24]}) + bytes(25),
        header(a={"dtype": "I32", "shape": [2, 3], "data_offsets": [0, 20]}) + bytes(20),
        header(a={"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}) + bytes(24),
        header(a={"dtype": "I32", "shape": [6], "data_offsets": [0, 24]}) + bytes(24),
    ],
)
def test_what_holds_no_such_rows(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "rows").write_bytes(content)
    with pytest.raises(EmugraphError, match="rows is damaged"):
        stored_rows(tmp_path / "rows")


def test_a_file_that_is_cut_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    save_file({"a": torch.arange(6, dtype=torch.int32).view(2, 3)}, path)
    rows: StoredRows = stored_rows(path)["a"]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(EmugraphError, match="cannot read .*rows"):
        rows.whole()
