"""Values and gradients of both forms against a slow loop in NumPy, which shares no code with either."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from emugraph import kernels
from emugraph.errors import InputError

EVERY_EXAMPLE = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@dataclass
class Case:
    """Inputs of ``gathered_masked``, which the other functions are special cases of."""

    kind: str
    q: Tensor  # (B, w)
    table: Tensor  # (N, w)
    index: Tensor  # (B, K)
    positive: Tensor  # (B, w)
    mask: Tensor  # (B, K, u)
    plain_gradient: Tensor  # (B, K)
    mutated_gradient: Tensor  # (B, K)


@dataclass
class Expected:
    plain: np.ndarray
    mutated: np.ndarray
    dq: np.ndarray
    dtable: np.ndarray
    dpositive: np.ndarray


def slow(case: Case) -> Expected:
    """One query and one candidate at a time, in float64."""
    q, table, positive, mask = (np.asarray(t, dtype=float) for t in (case.q, case.table, case.positive, case.mask))
    B, K = case.index.shape
    parts = 2 if case.kind == "modulus" else 1
    result = Expected(np.zeros((B, K)), np.zeros((B, K)), *(np.zeros_like(x) for x in (q, table, positive)))

    def terms(query: np.ndarray, row: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What each unit adds ``(u,)``, and the derivatives ``(w,)`` by the query and by the row."""
        x = query - row
        if case.kind == "dot":
            return query * row, row, query
        if case.kind == "l2":
            return x**2, 2 * x, -2 * x
        lengths = np.sqrt((x.reshape(parts, -1) ** 2).sum(0))
        slope = x / np.tile(np.where(lengths == 0, 1, lengths), parts)
        return lengths, slope, -slope

    def score(total: float) -> tuple[float, float]:
        """The score and its derivative by the sum."""
        if case.kind == "dot":
            return total, 1.0
        if case.kind == "l2":
            return -math.sqrt(total), -0.5 / math.sqrt(total) if total else 0.0
        return -total, -1.0

    for b in range(B):
        for k in range(K):
            n, share = int(case.index[b, k]), mask[b, k]
            negative, *by_negative = terms(q[b], table[n])
            taken, *by_positive = terms(q[b], positive[b])
            result.plain[b, k], slope = score(negative.sum())
            result.mutated[b, k], mutated_slope = score((share * taken + (1 - share) * negative).sum())
            slope *= float(case.plain_gradient[b, k])
            mutated_slope *= float(case.mutated_gradient[b, k])
            left = np.tile(slope + mutated_slope * (1 - share), parts)
            mixed = np.tile(mutated_slope * share, parts)
            result.dq[b] += by_negative[0] * left + by_positive[0] * mixed
            result.dtable[n] += by_negative[1] * left
            result.dpositive[b] += by_positive[1] * mixed
    return result


def make_case(kind: str, B: int, K: int, N: int, u: int, seed: int, ties: bool = False) -> Case:
    generator = torch.Generator().manual_seed(seed)
    w = 2 * u if kind == "modulus" else u

    def rows(n: int) -> Tensor:
        x = torch.randn(n, w, generator=generator)
        return x.round() / 2 if ties else x  # halves: many differences are exactly 0

    return Case(
        kind,
        rows(B),
        rows(N),
        torch.randint(N, (B, K), generator=generator),
        rows(B),
        torch.rand(B, K, u, generator=generator) < 0.6,
        torch.randn(B, K, generator=generator),
        torch.randn(B, K, generator=generator),
    )


def close(actual: Tensor | None, expected: np.ndarray) -> None:
    assert actual is not None
    scale = max(1.0, np.abs(expected).max(initial=0.0))
    np.testing.assert_allclose(actual.detach().numpy(), expected, rtol=1e-5, atol=3e-6 * scale)


def given_as(mask: Tensor, form: str) -> Tensor:
    return {"bool": mask, "uint8": mask.to(torch.uint8), "packed": kernels.pack_mask(mask)}[form]


def leaves(*tensors: Tensor) -> list[Tensor]:
    return [tensor.clone().requires_grad_() for tensor in tensors]


kinds = pytest.mark.parametrize("kind", kernels.KINDS)
cases = st.builds(
    make_case,
    st.sampled_from(kernels.KINDS),
    B=st.integers(1, 12),
    K=st.integers(1, 20),
    N=st.integers(1, 12),
    u=st.integers(1, 70),
    seed=st.integers(0, 2**31),
    ties=st.booleans(),
)


large_cases = st.builds(
    make_case,
    st.sampled_from(kernels.KINDS),
    B=st.integers(1, 12),
    K=st.just(1),
    N=st.integers(13, 70),
    u=st.integers(1, 40),
    seed=st.integers(0, 2**31),
    ties=st.booleans(),
)


@pytest.mark.usefixtures("form")
class TestAgainstTheSlowLoop:
    @EVERY_EXAMPLE
    @given(cases)
    def test_gathered(self, case: Case) -> None:
        case.mutated_gradient.zero_()
        expected = slow(case)
        q, table = leaves(case.q, case.table)
        scores = kernels.gathered(q, table, case.index, case.kind)
        scores.backward(case.plain_gradient)
        close(scores, expected.plain)
        close(q.grad, expected.dq)
        close(table.grad, expected.dtable)

    @EVERY_EXAMPLE
    @given(cases, st.sampled_from(["bool", "uint8", "packed"]))
    def test_gathered_masked(self, case: Case, form_of_mask: str) -> None:
        mask = given_as(case.mask, form_of_mask)
        expected = slow(case)
        q, table, positive = leaves(case.q, case.table, case.positive)
        plain, mutated = kernels.gathered_masked(q, table, case.index, positive, mask, case.kind)
        torch.autograd.backward((plain, mutated), (case.plain_gradient, case.mutated_gradient))
        close(plain, expected.plain)
        close(mutated, expected.mutated)
        close(q.grad, expected.dq)
        close(table.grad, expected.dtable)
        close(positive.grad, expected.dpositive)

    @EVERY_EXAMPLE
    @given(cases, st.booleans())
    def test_gathered_masked_with_one_mask_for_all_queries(self, case: Case, packed: bool) -> None:
        shared = case.mask[0]
        case.mask = shared.expand_as(case.mask)
        expected = slow(case)
        q, table, positive = leaves(case.q, case.table, case.positive)
        mask = kernels.pack_mask(shared) if packed else shared
        plain, mutated = kernels.gathered_masked(q, table, case.index, positive, mask, case.kind)
        torch.autograd.backward((plain, mutated), (case.plain_gradient, case.mutated_gradient))
        close(plain, expected.plain)
        close(mutated, expected.mutated)
        close(q.grad, expected.dq)
        close(table.grad, expected.dtable)
        close(positive.grad, expected.dpositive)

    @EVERY_EXAMPLE
    @given(cases)
    def test_pairwise(self, case: Case) -> None:
        case.mutated_gradient.zero_()
        case.index = torch.arange(len(case.table)).expand(len(case.q), -1)
        case.plain_gradient = torch.randn(case.index.shape, generator=torch.Generator().manual_seed(1))
        case.mutated_gradient = torch.zeros_like(case.plain_gradient)
        case.mask = case.mask[:, :1].expand(-1, len(case.table), -1)
        expected = slow(case)
        q, e = leaves(case.q, case.table)
        scores = kernels.pairwise(q, e, case.kind)
        scores.backward(case.plain_gradient)
        close(scores, expected.plain)
        close(q.grad, expected.dq)
        close(e.grad, expected.dtable)

    @EVERY_EXAMPLE
    @given(
        st.one_of(cases, large_cases),
        st.sampled_from(["bool", "uint8", "packed"]),
        st.sampled_from(["both", "plain", "mutated"]),
        st.sampled_from([1, 1, 3, 16, 32]),
    )
    def test_pairwise_masked(self, case: Case, form_of_mask: str, used: str, run: int) -> None:
        generator = torch.Generator().manual_seed(2)
        masks = torch.rand(-(-len(case.table) // run), case.mask.shape[-1], generator=generator) < 0.6  # (K / run, u)
        mask = given_as(masks, form_of_mask)
        shared = torch.stack([masks[k // run] for k in range(len(case.table))])  # (K, u)
        case.index = torch.arange(len(case.table)).expand(len(case.q), -1)
        case.mask = shared.expand(len(case.q), -1, -1)
        case.plain_gradient = torch.randn(case.index.shape, generator=generator) * (used != "mutated")
        case.mutated_gradient = torch.randn(case.index.shape, generator=generator) * (used != "plain")
        expected = slow(case)
        q, e, positive = leaves(case.q, case.table, case.positive)
        plain, mutated = kernels.pairwise_masked(q, e, positive, mask, case.kind, mask_group=run)
        close(plain, expected.plain)
        close(mutated, expected.mutated)
        loss = {"both": (plain, mutated), "plain": (plain,), "mutated": (mutated,)}[used]
        gradients = {"plain": (case.plain_gradient,), "mutated": (case.mutated_gradient,)}
        torch.autograd.backward(loss, gradients.get(used, (case.plain_gradient, case.mutated_gradient)))
        close(q.grad, expected.dq)
        close(e.grad, expected.dtable)
        if used != "plain":
            close(positive.grad, expected.dpositive)

    @kinds
    def test_larger_than_a_patch(self, kind: str) -> None:
        """More queries, candidates and units than one tile, patch or range holds, against plain float64 PyTorch."""
        for B, K, run in ((150, 300, 1), (301, 139, 1), (150, 300, 16), (301, 139, 64)):
            case = make_case(kind, B, K, K, 37, seed=B)
            mask = torch.rand(-(-K // run), 37, generator=torch.Generator().manual_seed(3)) < 0.6
            ours = leaves(case.q, case.table, case.positive)
            exact = leaves(case.q.double(), case.table.double(), case.positive.double())
            plain, mutated = kernels.pairwise_masked(*ours, mask, kind, mask_group=run)
            torch.autograd.backward((plain, mutated), (case.plain_gradient, case.mutated_gradient))
            wanted = kernels.eager.pairwise_masked(*exact, mask, kind, run)
            torch.autograd.backward(wanted, (case.plain_gradient.double(), case.mutated_gradient.double()))
            close(plain, wanted[0].detach().numpy())
            close(mutated, wanted[1].detach().numpy())
            for own, other in zip(ours, exact, strict=True):
                close(own.grad, other.grad.numpy())


@pytest.mark.usefixtures("form")
class TestByHand:
    def test_l1(self) -> None:
        q, e = torch.tensor([[1.0, -2.0, 0.0]]), torch.tensor([[0.0, 0.0, 0.0], [1.0, 2.0, 3.0]])
        assert kernels.pairwise(q, e, "l1").tolist() == [[-3.0, -7.0]]

    def test_l2(self) -> None:
        q, e = torch.tensor([[3.0, 4.0]]), torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 8.0]])
        assert kernels.pairwise(q, e, "l2").tolist() == [[-5.0, 0.0, -5.0]]

    def test_modulus_takes_real_parts_first(self) -> None:
        q, e = torch.tensor([[3.0, 5.0, 4.0, 12.0]]), torch.zeros(1, 4)  # 3+4i, 5+12i
        assert kernels.pairwise(q, e, "modulus").item() == pytest.approx(-18.0)

    def test_mutated_takes_masked_units_from_the_positive(self) -> None:
        q, e, positive = torch.zeros(1, 2), torch.tensor([[10.0, 20.0]]), torch.tensor([[1.0, 2.0]])
        plain, mutated = kernels.pairwise_masked(q, e, positive, torch.tensor([[True, False]]), "l1")
        assert (plain.item(), mutated.item()) == (-30.0, -21.0)

    def test_dot(self) -> None:
        q, e, positive = torch.tensor([[1.0, -2.0]]), torch.tensor([[3.0, 4.0]]), torch.tensor([[5.0, 6.0]])
        plain, mutated = kernels.pairwise_masked(q, e, positive, torch.tensor([[False, True]]), "dot")
        assert (plain.item(), mutated.item()) == (-5.0, -9.0)  # 3 - 8, 3 - 12

    @pytest.mark.parametrize("kind", ["l1", "l2", "modulus"])
    def test_no_gradient_where_query_and_candidate_are_the_same(self, kind: str) -> None:
        q, e, positive = leaves(*[torch.full((3, 10), 0.3)] * 3)
        mask = torch.ones(3, 10 if kind != "modulus" else 5, dtype=torch.bool)
        mask[1] = False
        plain, mutated = kernels.pairwise_masked(q, e, positive, mask, kind)
        (plain.sum() + mutated.sum()).backward()
        for leaf in (q, e, positive):
            assert leaf.grad.tolist() == torch.zeros(3, 10).tolist()
        assert plain.abs().max() < 1e-15

    def test_count_better(self) -> None:
        inf, nan = math.inf, math.nan
        scores = torch.tensor([[1.0, 2.0, 3.0, 2.0, nan], [-inf, inf, nan, 0.0, -0.0], [nan, 1.0, 2.0, 3.0, 4.0]])
        greater, less = kernels.count_better(scores, torch.tensor([2.0, 0.0, nan]))
        assert greater.tolist() == [1, 1, 0]
        assert less.tolist() == [1, 1, 0]
        assert greater.dtype == less.dtype == torch.int64

    def test_count_better_of_given_rows(self) -> None:
        scores = torch.tensor([[1.0, 2.0, 3.0], [9.0, 8.0, 7.0]])
        greater, less = kernels.count_better(scores, torch.tensor([8.0, 2.0, 7.5, 0.0]), torch.tensor([1, 0, 1, 0]))
        assert greater.tolist() == [1, 1, 2, 3]
        assert less.tolist() == [1, 1, 1, 0]
        for rows in ([0, 2], [0, -3]):
            with pytest.raises(IndexError):
                kernels.count_better(scores, torch.zeros(2), torch.tensor(rows))
        with pytest.raises(InputError, match="must both be"):
            kernels.count_better(scores, torch.zeros(2), torch.tensor([0]))
        empty = torch.zeros(0, dtype=torch.int64)
        assert kernels.count_better(scores, torch.zeros(0), empty)[0].tolist() == []

    def test_count_better_over_long_rows(self) -> None:
        scores = torch.arange(100_000.0).repeat(3, 1)
        greater, less = kernels.count_better(scores, torch.tensor([0.0, 70_000.0, 99_999.5]))
        assert greater.tolist() == [99_999, 29_999, 0]
        assert less.tolist() == [0, 70_000, 100_000]

    def test_pack_mask(self) -> None:
        mask = torch.zeros(2, 70, dtype=torch.bool)
        mask[0, [0, 3, 65]] = mask[1, 63] = True
        assert kernels.pack_mask(mask).tolist() == [[9, 2], [-(2**63), 0]]


@pytest.mark.usefixtures("form")
class TestInputs:
    @kinds
    def test_not_contiguous(self, kind: str) -> None:
        case = make_case(kind, 5, 7, 9, 6, seed=4)
        strided = [tensor.t().contiguous().t() for tensor in (case.q, case.table, case.index, case.positive)]
        mask = case.mask.transpose(0, 2).contiguous().transpose(0, 2)
        q, table, index, positive = strided
        assert not q.is_contiguous()
        close(kernels.pairwise(q, table, kind), kernels.pairwise(case.q, case.table, kind).numpy())
        got = kernels.gathered_masked(q, table, index, positive, mask, kind)
        wanted = kernels.gathered_masked(case.q, case.table, case.index, case.positive, case.mask, kind)
        close(got[0], wanted[0].numpy())
        close(got[1], wanted[1].numpy())
        scores = kernels.pairwise(case.q, case.table, kind).t().contiguous().t()
        greater, _ = kernels.count_better(scores, scores[:, 0])
        assert greater.tolist() == (scores > scores[:, :1]).sum(1).tolist()

    @kinds
    def test_expanded_gradient(self, kind: str) -> None:
        q, e = leaves(torch.randn(3, 6), torch.randn(4, 6))
        kernels.pairwise(q, e, kind).sum().backward()
        ones = leaves(q.detach(), e.detach())
        kernels.pairwise(*ones, kind).backward(torch.ones(3, 4))
        assert torch.equal(q.grad, ones[0].grad)
        assert torch.equal(e.grad, ones[1].grad)

    @kinds
    @pytest.mark.parametrize(("B", "K", "u"), [(0, 3, 4), (3, 0, 4), (0, 0, 4), (2, 3, 0)])
    def test_nothing_to_do(self, kind: str, B: int, K: int, u: int) -> None:
        w = 2 * u if kind == "modulus" else u
        q, e, positive = leaves(torch.randn(B, w), torch.randn(K, w), torch.randn(B, w))
        plain, mutated = kernels.pairwise_masked(q, e, positive, torch.ones(K, u, dtype=torch.bool), kind)
        scores = kernels.pairwise(q, e, kind)
        (plain.sum() + mutated.sum() + scores.sum()).backward()
        assert plain.shape == mutated.shape == scores.shape == (B, K)
        assert not q.grad.any()
        assert not e.grad.any()
        index = torch.zeros(B, 0, dtype=torch.int64)
        assert kernels.gathered(q, e, index, kind).shape == (B, 0)
        greater, less = kernels.count_better(scores.detach(), torch.zeros(B))
        assert greater.tolist() == less.tolist() == [0] * B or u == 0

    @kinds
    def test_nan_stays_where_it_is(self, kind: str) -> None:
        case = make_case(kind, 9, 5, 40, 6, seed=5)
        case.q[2, 1] = case.table[33, -1] = math.nan
        plain, mutated = kernels.pairwise_masked(
            case.q, case.table, case.positive, torch.zeros(40, 6, dtype=torch.bool), kind
        )
        wanted = torch.zeros(9, 40, dtype=torch.bool)
        wanted[2] = wanted[:, 33] = True
        assert torch.equal(kernels.pairwise(case.q, case.table, kind).isnan(), wanted)
        assert torch.equal(plain.isnan(), wanted)
        assert torch.equal(mutated.isnan(), wanted)
        gathered = kernels.gathered(case.q, case.table, case.index, kind)
        assert torch.equal(gathered.isnan(), wanted.gather(1, case.index))

    def test_refused(self) -> None:
        q, e, index = torch.zeros(2, 4), torch.zeros(3, 4), torch.zeros(2, 5, dtype=torch.int64)
        with pytest.raises(InputError, match="unknown kind of score 'L2'.*'l2'"):
            kernels.pairwise(q, e, "L2")
        with pytest.raises(InputError, match=r"\(2, 4\) and \(3, 5\)"):
            kernels.pairwise(q, torch.zeros(3, 5), "l1")
        with pytest.raises(InputError, match="even width"):
            kernels.pairwise(torch.zeros(2, 3), torch.zeros(2, 3), "modulus")
        with pytest.raises(InputError, match=r"mask \(3, 2\)"):
            kernels.pairwise_masked(q, e, q, torch.ones(3, 4, dtype=torch.bool), "modulus")
        with pytest.raises(InputError, match="mask_group is 0"):
            kernels.pairwise_masked(q, e, q, torch.ones(3, 4, dtype=torch.bool), "l1", mask_group=0)
        with pytest.raises(InputError, match=r"mask \(2, 4\)"):
            kernels.pairwise_masked(q, e, q, torch.ones(3, 4, dtype=torch.bool), "l1", mask_group=2)
        with pytest.raises(InputError, match="int64"):
            kernels.gathered(q, e, index.int(), "l1")
        with pytest.raises(InputError, match="bool or uint8, or packed"):
            kernels.pairwise_masked(q, e, q, torch.zeros(3, 4), "l1")
        with pytest.raises(InputError, match=r"\(2, 5, 4\) or \(5, 4\)"):
            kernels.gathered_masked(q, e, index, q, torch.ones(2, 4, dtype=torch.bool), "l1")
        with pytest.raises(InputError, match="true_scores"):
            kernels.count_better(q, torch.zeros(3))
        with pytest.raises(InputError, match="bool or uint8"):
            kernels.pack_mask(torch.zeros(3))

    @pytest.mark.parametrize("wrong", [3, -4])
    def test_index_outside_the_table(self, wrong: int) -> None:
        with pytest.raises(IndexError):
            kernels.gathered(torch.zeros(2, 4), torch.zeros(3, 4), torch.tensor([[0], [wrong]]), "l1")


@kinds
def test_same_bits_in_each_run(kind: str) -> None:
    case = make_case(kind, 130, 70, 200, 40, seed=6)
    shared = case.mask[0, :1].expand(200, -1)

    def run(threads: int) -> dict[str, list[Tensor]]:
        torch.set_num_threads(threads)
        result = {}
        for name, function, arguments in (
            ("pairwise", kernels.pairwise, ()),
            ("gathered", kernels.gathered, (case.index,)),
            ("pairwise_masked", kernels.pairwise_masked, (case.positive, shared)),
            ("pairwise_masked in runs", partial(kernels.pairwise_masked, mask_group=16), (case.positive, shared[:13])),
            ("gathered_masked", kernels.gathered_masked, (case.index, case.positive, case.mask)),
        ):
            q, table = leaves(case.q, case.table)
            outputs = function(q, table, *arguments, kind)
            outputs = outputs if isinstance(outputs, tuple) else (outputs,)
            gradients = [torch.randn(x.shape, generator=torch.Generator().manual_seed(7)) for x in outputs]
            torch.autograd.backward(outputs, gradients)
            result[name] = [*outputs, q.grad, table.grad]
        return result

    threads = torch.get_num_threads()
    try:
        one, again, three = run(1), run(1), run(3)
    finally:
        torch.set_num_threads(threads)
    for name, tensors in one.items():
        assert all(torch.equal(x, y) for x, y in zip(tensors, again[name], strict=True)), name
        assert all(torch.equal(x, y) for x, y in zip(tensors, three[name], strict=True)), name


@kinds
def test_a_score_does_not_depend_on_the_batch_it_is_computed_in(kind: str) -> None:
    case = make_case(kind, 9, 1, 100, 33, seed=8)
    together = kernels.pairwise(case.q, case.table, kind)
    assert torch.equal(together[5:6, 70:71], kernels.pairwise(case.q[5:6], case.table[70:71], kind))


@kinds
@pytest.mark.usefixtures("form")
def test_float64(kind: str) -> None:
    q, e = torch.randn(3, 4, dtype=torch.float64), torch.randn(5, 4, dtype=torch.float64)
    scores = kernels.pairwise(q, e, kind)
    assert scores.dtype == torch.float64
    close(scores, kernels.pairwise(q.float(), e.float(), kind).numpy())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@kinds
def test_cuda(kind: str) -> None:
    case = make_case(kind, 9, 5, 40, 20, seed=9)
    expected = slow(case)
    q, table, positive = (x.cuda().requires_grad_() for x in (case.q, case.table, case.positive))
    mask = kernels.pack_mask(case.mask.cuda())
    plain, mutated = kernels.gathered_masked(q, table, case.index.cuda(), positive, mask, kind)
    gradients = (case.plain_gradient.cuda(), case.mutated_gradient.cuda())
    torch.autograd.backward((plain, mutated), gradients)
    close(plain.cpu(), expected.plain)
    close(mutated.cpu(), expected.mutated)
    close(q.grad.cpu(), expected.dq)
    close(table.grad.cpu(), expected.dtable)
    close(positive.grad.cpu(), expected.dpositive)
    pairs = kernels.pairwise(q, table, kind)
    close(pairs.cpu(), kernels.pairwise(case.q, case.table, kind).numpy())
    assert torch.equal(kernels.count_better(pairs, pairs[:, 3])[0].cpu(), (pairs > pairs[:, 3:4]).sum(1).cpu())
