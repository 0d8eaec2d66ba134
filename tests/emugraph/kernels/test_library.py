"""What may be handed to the compiled library, and that nothing else gets there."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from emugraph import kernels
from emugraph.kernels import native
from emugraph.kernels.native.library import ARGUMENTS, call

C_TYPES = {
    "float*": "floats", "Index*": "ids", "std::int64_t*": "ids", "std::uint64_t*": "ids", "std::uint8_t*": "bytes",
    "Index": "number", "std::int64_t": "number",
}  # fmt: skip


@pytest.fixture
def _compiled() -> None:
    if not native.available():
        pytest.skip("no C++ compiler")


@pytest.fixture
def _float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def declared() -> dict[str, list[str]]:
    """The types of the arguments of each function in the sources, but for the number of threads that comes last."""
    actual = {}
    for source in Path(kernels.__file__).parent.glob("*.cpp"):
        text = source.read_text(encoding="utf-8")
        for name, arguments in re.findall(r"^(?:Index|std::int64_t) (emugraph_\w+)\(([^)]+)\) \{", text, re.MULTILINE):
            *types, last = (argument.strip().removeprefix("const ") for argument in arguments.split(","))
            assert last.split()[-1] == "threads", name
            actual[name] = [C_TYPES[type_.split()[0]] for type_ in types]
    return actual


def test_the_table_says_what_the_sources_declare() -> None:
    expected = declared()
    assert "emugraph_softmax_loss" in expected
    histories = {"emugraph_adam_refresh": 6, "emugraph_adam_step": 6}  # Python's array of float32, and no tensor
    for name, place in histories.items():
        assert expected[name][place] == "floats"
        expected[name][place] = "history"
    assert {name: [kind.rstrip("?") for kind in kinds.split()] for name, kinds in ARGUMENTS.items()} == expected


SCORES, TRUE = torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([2.0])
ROWS, COUNTS = torch.tensor([0]), torch.zeros(2, 1, dtype=torch.int64)


def arguments(**changed: Any) -> list[Any]:
    """Those of ``emugraph_count_better``."""
    usual = {
        "scores": SCORES, "height": 1, "columns": 3, "truth": TRUE, "rows": ROWS, "count": 1,
        "greater": COUNTS[0], "less": COUNTS[1],
    }  # fmt: skip
    return list({**usual, **changed}.values())


@pytest.mark.usefixtures("_compiled")
@pytest.mark.parametrize("rows", [ROWS, None])
def test_right_arguments_get_there(rows: torch.Tensor | None) -> None:
    COUNTS.zero_()
    call("emugraph_count_better", *arguments(rows=rows))
    assert COUNTS.tolist() == [[1], [1]]


@pytest.mark.usefixtures("_compiled")
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"scores": SCORES.double()}, r"argument 0 of emugraph_count_better .*float32.* got .*\(1, 3\).*float64"),
        ({"truth": TRUE.double()}, "argument 3 .*float32.*float64"),
        ({"rows": ROWS.int()}, "argument 4 .*int64.*int32"),
        ({"greater": COUNTS[0].float()}, "argument 6 .*int64.*float32"),
        ({"scores": torch.zeros(1, 6)[:, ::2]}, "argument 0 .*contiguous"),
        ({"scores": SCORES.to("meta")}, "argument 0 .*CPU.*meta"),
        ({"scores": None}, "argument 0 .*None"),
        ({"scores": 0}, "argument 0 .*got 0"),
        ({"height": None}, "argument 1 .*None"),
        ({"height": 1.5}, "argument 1 .*1.5"),
        ({"height": ROWS}, "argument 1 .*tensor"),
        ({"more": 1}, "emugraph_count_better takes 8 arguments, got 9"),
    ],
)
def test_wrong_arguments_are_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        call("emugraph_count_better", *arguments(**changed))


@pytest.mark.usefixtures("_compiled")
@pytest.mark.parametrize("history", [array("d", (-0.1, 1.0)), torch.tensor([-0.1, 1.0]), 0, None])
def test_a_history_of_other_numbers_is_refused(history: Any) -> None:
    table, done = torch.zeros(3, 2, 2), torch.zeros(2, dtype=torch.int64)
    with pytest.raises(TypeError, match="argument 6 of emugraph_adam_refresh"):
        call("emugraph_adam_refresh", *table, 2, 2, done, history, 1, torch.zeros(4), None, 2)


@pytest.mark.usefixtures("_float64")
@pytest.mark.parametrize("label", [0.0, 0.53])
def test_labels_do_not_depend_on_the_default_dtype(form: str, label: float) -> None:
    """One positive with score 0 and two negatives with score 0: -ln(1/3) (1 + 2 label)."""
    positive, negatives = (torch.zeros(*shape, dtype=torch.float32, requires_grad=True) for shape in ((1,), (1, 2)))
    loss = kernels.softmax_loss(positive, negatives, label)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(1.0986123 * (1 + 2 * label))
    loss.sum().backward()
    assert positive.grad is not None
    assert negatives.grad is not None
    assert positive.grad.tolist() == pytest.approx([(1 + 2 * label) / 3 - 1], abs=1e-6)
    assert negatives.grad.tolist() == [pytest.approx([(1 + 2 * label) / 3 - label] * 2, abs=1e-6)]
