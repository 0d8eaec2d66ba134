"""Pictures of a study: how it went, what matters, and which values were good."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from emugraph.analysis.plots import COLORS, new_figure, save

if TYPE_CHECKING:
    import optuna
    from matplotlib.figure import Figure


def write_plots(study: optuna.Study, folder: Path) -> list[Path]:
    """Write history.png, slices.png and, where there are trials enough to tell, importance.png.

    Raises:
        InputError: matplotlib is not installed.
        EmugraphError: they cannot be written.
    """
    drawn = {"history": draw_history(study), "slices": draw_slices(study), "importance": draw_importance(study)}
    paths = []
    for name, figure in drawn.items():
        if figure is not None:
            paths.append(folder / f"{name}.png")
            save(figure, paths[-1])
    return paths


def draw_history(study: optuna.Study) -> Figure:
    """Validation MRR by trial, and the best so far."""
    figure, (axes,) = new_figure()
    done = _complete(study)
    best, highest = [], 0.0
    for trial in done:
        highest = max(highest, trial.value or 0.0)
        best.append(highest)
    numbers = [trial.number + 1 for trial in done]
    axes.plot(numbers, [trial.value or 0.0 for trial in done], "o", color=COLORS[0], label="trials")
    axes.plot(numbers, best, color=COLORS[3], drawstyle="steps-post", label="best so far")
    pruned = [trial for trial in study.trials if trial.state.name == "PRUNED" and trial.intermediate_values]
    last = [trial.intermediate_values[max(trial.intermediate_values)] for trial in pruned]
    axes.plot([trial.number + 1 for trial in pruned], last, "x", color=COLORS[7], label="ended early")
    axes.set_xlabel("trial")
    axes.set_ylabel("validation MRR")
    axes.legend(frameon=False)
    return figure


def draw_slices(study: optuna.Study) -> Figure:
    """Validation MRR by the value of each setting, a panel a setting."""
    done = _complete(study)
    names = sorted({name for trial in done for name in trial.params})
    figure, panels = new_figure(2.6, 2.8, max(1, len(names)))
    for axes, name in zip(panels, names, strict=False):
        values = [trial.params[name] for trial in done]
        if isinstance(values[0], bool):
            values = [str(value) for value in values]
        elif getattr(done[0].distributions[name], "log", False):
            axes.set_xscale("log")
        axes.scatter(values, [trial.value or 0.0 for trial in done], s=14, color=COLORS[0])
        axes.set_title(name, fontsize=9)
        axes.tick_params(labelsize=7)
    panels[0].set_ylabel("validation MRR")
    return figure


def draw_importance(study: optuna.Study) -> Figure | None:
    """How much of the differences between trials each setting explains (PED-ANOVA); None for too few trials.

    Watanabe, Bansal and Hutter, "PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in Arbitrary Subspaces",
    IJCAI 2023.
    """
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    if len(_complete(study)) < 8:
        return None
    shares = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
    figure, (axes,) = new_figure(5.0, 0.8 + 0.3 * len(shares))
    axes.barh(list(shares), list(shares.values()), color=COLORS[0])
    axes.invert_yaxis()
    axes.set_xlabel("importance")
    return figure


def _complete(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    return [trial for trial in study.trials if trial.state.name == "COMPLETE"]
