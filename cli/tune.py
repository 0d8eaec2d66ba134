"""``emugraph tune``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emugraph.cli.options import Force, with_settings
from emugraph.cli.output import check_output, code_of, fail, guarded, note, print_json, print_table

if TYPE_CHECKING:
    import optuna


@guarded
@with_settings
def tune(
    dataset: Annotated[str, typer.Argument(help="A data set's name, a folder with train/valid/test files, or a file.")],
    changes: dict[str, Any],
    model: Annotated[
        str, typer.Option("--model", "-m", help="Score function: transe, transe-l2, distmult, complex or rotate.")
    ] = "transe",
    emu: Annotated[bool, typer.Option("--emu/--no-emu", help="Embedding mutation, or plain cross entropy.")] = True,
    trials: Annotated[int, typer.Option("--trials", "-n", help="Trials in all, those in the storage included.")] = 20,
    storage: Annotated[
        str | None,
        typer.Option("--storage", help="Where to keep the study, as sqlite:///study.db, to continue or share it."),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--name", help="The study's name. [default: data set, model and method]", show_default=False),
    ] = None,
    search_seed: Annotated[int, typer.Option("--search-seed", help="Seed of the search.")] = 0,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write the best settings as a preset (.toml).", show_default=False),
    ] = None,
    force: Force = False,
    plots: Annotated[
        Path | None, typer.Option("--plots", help="Write plots of the study into this folder.", show_default=False)
    ] = None,
    split: Annotated[
        str | None,
        typer.Option("--split", help="For one file: shares of train, valid, test, as 0.8,0.1,0.1.", show_default=False),
    ] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Search for hyper-parameters by validation MRR, and write them as a preset.

    Settings that are given are kept; the others that matter are searched.

    Example: emugraph tune wn18rr --model complex --trials 20 --storage sqlite:///study.db -o preset.toml
    """
    import emugraph
    from emugraph.analysis.plots import new_figure
    from emugraph.cli.progress import prepare
    from emugraph.errors import InputError
    from emugraph.system import choose_device
    from emugraph.tuning.plots import write_plots
    from emugraph.tuning.search import tune as search

    check_output(output, force)
    if trials < 1:
        raise InputError(f"{trials} trials were asked for; at least one is needed")
    choose_device(device)
    if plots is not None:
        new_figure()  # so that a missing library shows before any trial
    kg = emugraph.load_dataset(dataset, split=split, seed=changes.get("seed", 0))
    note(f"{kg!r}")
    prepare()
    try:
        tuned = search(
            kg, model, trials=trials, emu=emu, storage=storage, name=name, device=device, seed=search_seed,
            on_trial=_say, **changes,
        )  # fmt: skip
    except KeyboardInterrupt as error:
        go_on = "the same command goes on" if storage is not None else "with --storage, the same command would go on"
        fail(f"stopped; {go_on}", code_of(error))
    settings = tuned.settings.to_toml()
    if output is not None:
        tuned.write(output, " ".join(["emugraph", *sys.argv[1:]]))
        note(f"the best settings: {output}; train with: emugraph train {dataset} --preset {output}")
    if plots is not None:
        note(f"drawn: {', '.join(str(path) for path in write_plots(tuned.study, plots))}")
    if json:
        print_json(
            {"dataset": kg.name, "study": tuned.study.study_name, "measured": tuned.measured, "settings": settings}
        )
        return
    rows = [
        [setting, f"{value:.4g}" if isinstance(value, float) else str(value)] for setting, value in settings.items()
    ]
    print_table(f"{kg.name}, {model}, validation MRR {tuned.measured['valid_mrr']:.4f}", ["", ""], rows)


def _say(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
    """A line about a trial that has ended."""
    done = [other for other in study.get_trials(deepcopy=False) if other.state.name == "COMPLETE"]
    best = f"best {study.best_value:.4f}" if done else "none complete yet"
    state = trial.state.name
    if state == "COMPLETE":
        came = f"valid MRR {trial.value:.4f} ({best})"
    elif state == "PRUNED":
        came = f"ended early at step {max(trial.intermediate_values, default=0):,} ({best})"
    else:
        came = f"failed: {trial.user_attrs.get('error', 'stopped')}"
    values = ", ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in trial.params.items())
    seconds = trial.user_attrs.get("seconds", 0 if trial.duration is None else trial.duration.total_seconds())
    note(f"trial {trial.number + 1}: {came}, {seconds:.0f} s, {values}")
