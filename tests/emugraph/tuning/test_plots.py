from __future__ import annotations

from pathlib import Path

import optuna

from emugraph.tuning.plots import draw_history, draw_importance, draw_slices, write_plots


def study(trials: int) -> optuna.Study:
    """Of a function in which x is all that matters."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    made = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))

    def objective(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", 0.01, 1.0, log=True)
        trial.suggest_categorical("flag", [True, False])
        trial.suggest_float("y", 0, 1)
        trial.report(x / 2, 1)
        if trial.number == 3:
            raise optuna.TrialPruned
        return x

    made.optimize(objective, n_trials=trials)
    return made


def test_history_has_a_point_a_trial_and_the_best_so_far() -> None:
    made = study(6)
    points, best, ended = draw_history(made).axes[0].lines
    values = [trial.value for trial in made.trials if trial.state.name == "COMPLETE"]
    assert points.get_ydata().tolist() == values
    assert best.get_ydata().tolist() == [max(values[: i + 1]) for i in range(5)]
    assert ended.get_xdata().tolist() == [4]


def test_slices_have_a_panel_a_setting() -> None:
    panels = draw_slices(study(6)).axes
    assert [axes.get_title() for axes in panels] == ["flag", "x", "y"]
    assert panels[1].get_xscale() == "log"


def test_importance_finds_what_matters_and_waits_for_trials_enough() -> None:
    figure = draw_importance(study(40))
    assert figure is not None
    assert figure.axes[0].get_yticklabels()[0].get_text() == "x"
    assert draw_importance(study(5)) is None


def test_all_are_written(tmp_path: Path) -> None:
    paths = write_plots(study(12), tmp_path / "plots")
    assert [path.name for path in paths] == ["history.png", "slices.png", "importance.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)
