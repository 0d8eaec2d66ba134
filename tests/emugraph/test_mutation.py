from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, binomtest, chisquare, kstest

from emugraph import InputError
from emugraph.models import MODELS, Model
from emugraph.mutation import (
    draw_masks,
    draw_mixup_weights,
    materialized_scores,
    mixed_up_scores,
    mutate,
    mutated_scores,
)
from emugraph.types import SIDES


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_eq_2_component_by_component() -> None:
    positive, negative = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([-1.0, -2.0, -3.0])
    mask = torch.tensor([True, False, True])
    assert mutate(positive, negative, mask).tolist() == [1.0, -2.0, 3.0]


def test_a_complex_unit_goes_whole() -> None:
    positive, negative = torch.arange(1.0, 7.0), -torch.arange(1.0, 7.0)  # three units: real parts, imaginary parts
    assert mutate(positive, negative, torch.tensor([True, False, False])).tolist() == [1, -2, -3, 4, -5, -6]


def test_gradients_flow_into_both_parents() -> None:
    positive, negative = torch.ones(3, requires_grad=True), torch.ones(3, requires_grad=True)
    mutate(positive, negative, torch.tensor([True, False, True])).sum().backward()
    assert positive.grad.tolist() == [1, 0, 1]  # type: ignore[union-attr]
    assert negative.grad.tolist() == [0, 1, 0]  # type: ignore[union-attr]


@given(st.integers(1, 40), st.integers(1, 30), st.floats(0, 1))
def test_exact_masks_hold_exactly_n_p_ones(count: int, units: int, rate: float) -> None:
    mask = draw_masks(count, units, rate, seeded())
    assert mask.dtype == torch.bool
    assert mask.sum(dim=1).tolist() == [round(rate * units)] * count


def test_exact_masks_take_every_order_equally_often() -> None:
    mask = draw_masks(12_000, 4, 0.5, seeded())
    patterns = (mask.long() * torch.tensor([1, 2, 4, 8])).sum(dim=1)
    counts = torch.bincount(patterns, minlength=16)
    seen = counts[counts > 0]
    assert len(seen) == 6  # four over two
    assert chisquare(seen.numpy()).pvalue > 0.01


def test_bernoulli_masks_have_the_rate() -> None:
    mask = draw_masks((50, 20), 100, 0.61, seeded(), kind="bernoulli")
    assert mask.shape == (50, 20, 100)
    assert binomtest(int(mask.sum()), mask.numel(), 0.61).pvalue > 0.01
    assert mask.sum(-1).unique().numel() > 5


def test_masks_that_cannot_be() -> None:
    with pytest.raises(InputError, match=r"mutation rate is 1\.5"):
        draw_masks(3, 4, 1.5, seeded())
    with pytest.raises(InputError, match="unknown kind of mask 'half'"):
        draw_masks(3, 4, 0.5, seeded(), kind="half")  # type: ignore[arg-type]


WAYS = ("shared", "own", "own with shared masks", "table", "table with shared masks")
"""How negatives and their masks are held."""


def compare(model: Model, side: str, b: int, k: int, way: str, rate: float, tolerance: float, run: int = 1) -> None:
    """Factorised and materialised agree in value and in the gradient of everything that has one."""
    shared = way == "shared"
    generator = seeded(b * 1000 + k)
    n, r = len(model.entities), len(model.relations)

    def ids(size: int, *shape: int) -> torch.Tensor:
        return torch.randint(size, shape, generator=generator)

    known, relation, true = ids(n, b), ids(r, b), ids(n, b)
    negatives = ids(n, k) if shared else ids(n, b, k)
    masks = -(-k // run)
    mask = draw_masks((masks,) if "shared" in way else (b, masks), model.num_components, rate, generator)
    weights = torch.randn(2, b, k, generator=generator, dtype=model.entities.dtype)
    results = []
    for scores in (mutated_scores, materialized_scores):
        model.zero_grad()
        query = model.query(model.entities[known], model.relations[relation], side)  # type: ignore[arg-type]
        if way.startswith("table") and scores is mutated_scores:
            rows, places = negatives.unique(return_inverse=True)
            plain, mutated = scores(model, query, model.entities[true], model.entities[rows], mask, run, places)
        else:
            plain, mutated = scores(model, query, model.entities[true], model.entities[negatives], mask, run)
        (weights[0] * plain + weights[1] * mutated).sum().backward()
        results.append((plain.detach(), mutated.detach(), model.entities.grad, model.relations.grad))
    for one, other in zip(*results, strict=True):
        assert one.shape == other.shape
        assert torch.allclose(one, other, rtol=tolerance, atol=tolerance * max(1.0, other.abs().max().item()))


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(sorted(MODELS)),
    st.sampled_from(SIDES),
    st.integers(1, 9),
    st.integers(1, 12),
    st.integers(1, 24),
    st.sampled_from(WAYS),
    st.floats(0, 1),
)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
def test_factorised_equals_materialised(
    dtype: torch.dtype, tolerance: float, name: str, side: str, b: int, k: int, dim: int, way: str, rate: float
) -> None:
    model = MODELS[name](13, 3, dim, init_scale=0.5, generator=seeded(dim)).to(dtype)
    compare(model, side, b, k, way, rate, tolerance)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(sorted(MODELS)),
    st.sampled_from(SIDES),
    st.integers(1, 9),
    st.integers(1, 70),
    st.integers(1, 24),
    st.sampled_from(WAYS),
    st.floats(0, 1),
    st.sampled_from([2, 5, 8, 16, 32, 100]),
)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
def test_masks_that_serve_a_run_of_negatives(
    dtype: torch.dtype,
    tolerance: float,
    name: str,
    side: str,
    b: int,
    k: int,
    dim: int,
    way: str,
    rate: float,
    run: int,
) -> None:
    model = MODELS[name](13, 3, dim, init_scale=0.5, generator=seeded(dim)).to(dtype)
    compare(model, side, b, k, way, rate, tolerance, run)


def test_each_mask_serves_its_run_of_negatives() -> None:
    model = MODELS["distmult"](7, 1, 2)
    with torch.no_grad():
        model.entities.fill_(1.0)
    query, positive = torch.tensor([[1.0, 10.0]]), torch.tensor([[100.0, 1000.0]])
    mask = torch.tensor([[True, False], [False, True]])  # for negatives 0 to 2, and for 3 and 4
    plain, mutated = mutated_scores(model, query, positive, model.entities[:5], mask, mask_group=3)
    assert plain.tolist() == [[11.0] * 5]
    assert mutated.tolist() == [[110.0] * 3 + [10_001.0] * 2]


@pytest.mark.parametrize("name", sorted(MODELS))
def test_the_generic_form_agrees_too(name: str) -> None:
    """A score function that only gives its components gets mutation for nothing."""
    model = MODELS[name](13, 3, 6, init_scale=0.5, generator=seeded()).double()
    query = model.query(model.entities[:4], model.relations[[0, 1, 2, 0]], "tail")
    mask = draw_masks(5, model.num_components, 0.5, seeded())
    for index in (None, torch.arange(20).reshape(4, 5) % 5):
        generic = Model.score_mutated(model, query, model.entities[4:8], model.entities[8:], mask, index=index)
        special = mutated_scores(model, query, model.entities[4:8], model.entities[8:], mask, index=index)
        assert torch.allclose(generic[0], special[0])
        assert torch.allclose(generic[1], special[1])


def test_all_from_the_positive_scores_as_the_positive() -> None:
    for name in MODELS:
        model = MODELS[name](13, 3, 6, generator=seeded())
        query = model.query(model.entities[:4], model.relations[[0, 1, 2, 0]], "head")
        ones = torch.ones(9, model.num_components, dtype=torch.bool)
        _, mutated = mutated_scores(model, query, model.entities[4:8], model.entities[:9], ones)
        positive = model.score_each(query, model.entities[4:8])
        assert torch.allclose(mutated, positive[:, None].expand(4, 9), atol=1e-6)


@pytest.mark.parametrize("name", sorted(MODELS))
@pytest.mark.parametrize("way", ["shared", "own", "table"])
def test_mixup_is_the_score_of_the_mixed_embedding(name: str, way: str) -> None:
    shared = way == "shared"
    model = MODELS[name](13, 3, 6, init_scale=0.5, generator=seeded()).double()
    query = model.query(model.entities[:4], model.relations[[0, 1, 2, 0]], "tail")
    positive = model.entities[4:8]
    negatives = model.entities[8:] if shared else model.entities[torch.arange(20).reshape(4, 5) % 13]
    weight = torch.rand((5,) if shared else (4, 5), generator=seeded(), dtype=torch.float64)
    if way == "table":
        index = torch.arange(20).reshape(4, 5) % 13
        plain, mixed = mixed_up_scores(model, query, positive, model.entities, weight, index)
    else:
        plain, mixed = mixed_up_scores(model, query, positive, negatives, weight)
    for b in range(4):
        for k in range(5):
            negative, share = (negatives[k], weight[k]) if shared else (negatives[b, k], weight[b, k])
            between = share * negative + (1 - share) * positive[b]
            for candidate, score in ((negative, plain[b, k]), (between, mixed[b, k])):
                expected = model.link(model.components(query[b], candidate).sum())
                assert score.item() == pytest.approx(expected.item())


def test_mixup_weights_follow_beta() -> None:
    weights = draw_mixup_weights((100, 50), seeded(), a=2, b=1)
    assert weights.shape == (100, 50)
    assert kstest(weights.flatten().numpy(), beta(2, 1).cdf).pvalue > 0.01
