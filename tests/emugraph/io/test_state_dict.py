from __future__ import annotations

import pytest
import torch

from emugraph.io.state_dict import ids_below, part_of, same_shape, under


def test_parts_come_back() -> None:
    whole = {"count": 3, **under("tail", {"epoch": 1}), **under("tails", {"epoch": 2})}
    assert part_of(whole, "tail") == {"epoch": 1}
    assert part_of(whole, "none") == {}


@pytest.mark.parametrize("actual", [torch.zeros(2, 4), torch.zeros(2, 3, dtype=torch.float64), 3, None])
def test_another_shape_is_refused(actual: object) -> None:
    with pytest.raises(ValueError, match=r"the table is .*, not \(2, 3\) torch.float32"):
        same_shape(actual, torch.zeros(2, 3), "the table")


@pytest.mark.parametrize("actual", [torch.tensor([0, 5]), torch.tensor([-1]), torch.tensor([0.0]), "ids"])
def test_ids_out_of_range_are_refused(actual: object) -> None:
    with pytest.raises(ValueError, match="the cache"):
        ids_below(5, actual, "the cache")
    assert ids_below(5, torch.tensor([0, 4]), "the cache").tolist() == [0, 4]
    assert ids_below(5, torch.zeros(0, dtype=torch.int64), "the cache").tolist() == []
