from __future__ import annotations

import pytest
import torch

from emugraph import Settings, losses
from emugraph.models import MODELS, Model
from emugraph.mutation import draw_masks, draw_mixup_weights, mixed_up_scores, mutated_scores
from emugraph.training.objective import build_objective, negative_scores


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def scores() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = seeded()
    return torch.randn(4, generator=generator), *torch.randn(2, 4, 6, generator=generator)


def test_cross_entropy_is_eq_5(scores: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> None:
    positive, mixed, plain = scores
    objective = build_objective(Settings(beta=0.4, alpha=0.2))
    expected = losses.emu_objective(positive, mixed, plain, beta=0.4, alpha=0.2, divide_by_negatives=True)
    assert objective(positive, mixed, plain) == expected


def test_neither_mixed_nor_labelled_is_plain(scores: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> None:
    positive, mixed, plain = scores
    objective = build_objective(Settings(mixing="none", beta=0, alpha=0.2))
    assert objective(positive, mixed, plain) == losses.cross_entropy(positive, plain)


def test_labelled_but_not_mixed_is_the_ablation_without_mutation(
    scores: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
) -> None:
    positive, _, plain = scores
    objective = build_objective(Settings(mixing="none", beta=0.5, alpha=0, divide_by_negatives=False))
    assert objective(positive, plain, plain) == losses.unbounded_label_smoothing(positive, plain, 0.5)


def test_smoothed_labels_are_eq_3(scores: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> None:
    positive, mixed, plain = scores
    objective = build_objective(Settings(labels="smoothed", beta=0.3, alpha=0, divide_by_negatives=False))
    assert objective(positive, mixed, plain) == losses.label_smoothing(positive, mixed, 0.3)


@pytest.mark.parametrize("loss", ["self-adversarial", "margin-ranking", "binary-cross-entropy"])
def test_other_losses_have_the_same_two_terms(
    loss: str, scores: tuple[torch.Tensor, torch.Tensor, torch.Tensor]
) -> None:
    positive, mixed, plain = scores
    common = {"loss": loss, "margin": 2.0, "temperature": 0.5}
    both = build_objective(Settings(beta=0.3, alpha=0.25, **common))(positive, mixed, plain)
    first = build_objective(Settings(beta=0.3, alpha=0, **common))(positive, mixed, plain)
    second = build_objective(Settings(mixing="none", beta=0, **common))(positive, mixed, plain)
    assert both.item() == pytest.approx(first.item() + 0.25 * second.item())


@pytest.mark.parametrize("shared", [True, False])
def test_negatives_are_mixed_as_the_settings_say(shared: bool) -> None:
    model: Model = MODELS["complex"](20, 3, 5, generator=seeded())
    query = model.query(model.entities[:4], model.relations[[0, 1, 2, 0]], "tail")
    positive = model.entities[4:8]
    negatives = model.entities[8:15] if shared else model.entities[torch.arange(28).reshape(4, 7) % 20]
    count = (7,) if shared else (4, 7)

    def check(settings: Settings, expected: tuple[torch.Tensor, torch.Tensor]) -> None:
        actual = negative_scores(model, query, positive, negatives, settings, seeded())
        assert torch.equal(actual[0], expected[0])
        assert torch.equal(actual[1], expected[1])

    mask = draw_masks(7, 10, 0.3, seeded(), kind="bernoulli")  # one for each of a positive's negatives in turn
    check(
        Settings(mutation_rate=0.3, mask="bernoulli", mask_group=1),
        mutated_scores(model, query, positive, negatives, mask),
    )
    # Only shared negatives take masks in runs.
    run, masks = (3, 3) if shared else (1, 7)
    few = draw_masks(masks, 10, 0.3, seeded())
    check(Settings(mutation_rate=0.3, mask_group=3), mutated_scores(model, query, positive, negatives, few, run))
    weight = draw_mixup_weights(count, seeded(), a=3, b=2)
    check(Settings(mixing="mixup", mixup_a=3, mixup_b=2), mixed_up_scores(model, query, positive, negatives, weight))
    plain = model.score_negatives(query, negatives)
    check(Settings(mixing="none"), (plain, plain))
