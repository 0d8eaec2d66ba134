"""``emugraph train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from emugraph.cli.options import (
    CheckpointMinutes,
    CheckpointSteps,
    CudaGraphs,
    KeepCheckpoints,
    MapTo,
    MatmulPrecision,
    Track,
    with_settings,
)
from emugraph.cli.output import guarded, note, print_profile, print_run


@guarded
@with_settings
def train(
    dataset: Annotated[str, typer.Argument(help="A data set's name, a folder with train/valid/test files, or a file.")],
    changes: dict[str, Any],
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="Score function: transe, transe-l2, distmult, complex or rotate. [default: transe]",
            show_default=False,
        ),
    ] = None,
    emu: Annotated[
        bool | None,
        typer.Option(
            "--emu/--no-emu",
            help="Train with embedding mutation, or with plain cross entropy. [default: emu]",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The run's folder. [default: runs/DATASET-MODEL-DATE-TIME]",
            show_default=False,
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            "--preset",
            "-c",
            help="A TOML file of settings, one of emugraph tune, or a run's config.toml; options on the line win.",
            show_default=False,
        ),
    ] = None,
    init_from: Annotated[
        Path | None,
        typer.Option(
            "--init-from",
            help="Start from embeddings of the same labels: a run's folder, or a file of emugraph export.",
            show_default=False,
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option("--split", help="For one file: shares of train, valid, test, as 0.8,0.1,0.1.", show_default=False),
    ] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")] = "auto",
    checkpoint_minutes: CheckpointMinutes = 5.0,
    checkpoint_steps: CheckpointSteps = None,
    keep_checkpoints: KeepCheckpoints = 2,
    map_to: MapTo = None,
    cuda_graphs: CudaGraphs = False,
    matmul_precision: MatmulPrecision = None,
    track: Track = None,
    profile: Annotated[bool, typer.Option("--profile", help="Print where the time went, and the memory.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """Train a model and print its test metrics.

    Without settings, those chosen for the data set and model are used where there are any (the preset).

    Example: emugraph train wn18rr --model transe
    """
    import emugraph
    from emugraph.cli.neighbors import with_progress
    from emugraph.cli.progress import TrainingProgress, prepare
    from emugraph.runs.profiling import Profile
    from emugraph.runs.run import check_new
    from emugraph.runs.trackers import build_trackers
    from emugraph.system import choose_device
    from emugraph.training.build import needed_neighborhoods
    from emugraph.training.resolve import resolve_settings
    from emugraph.training.settings import Settings

    if output is not None:
        check_new(output)
    if config is not None:
        read = Settings.read(config)
        if emu is not None:  # the method on the line wins over the file's
            read = {name: value for name, value in read.items() if name not in ("mixing", "beta")}
        if {"sampler", "filtered"} & changes.keys():  # which decide whether negatives are shared
            read.pop("sharing", None)
        changes = {**read, **changes}
    name = model if model is not None else changes.get("model", "transe")
    trackers = build_trackers(track or ())
    checkpoints = emugraph.Checkpoints(checkpoint_minutes, checkpoint_steps, keep_checkpoints)
    choose_device(device)
    Settings.create({**changes, "model": name})  # so that a mistake shows before any data is read
    kg = emugraph.load_dataset(dataset, split=split, seed=changes.get("seed", 0))
    note(f"{kg!r}")
    settings, preset = resolve_settings(kg, name, changes, emu=emu is not False)
    note(f"settings: {'preset' if preset else 'defaults'}{' with changes' if changes else ''}")
    if settings.mixing != "emu" and {"mutation_rate", "mask"} & changes.keys():
        note("negatives are not mutated, so that mutation_rate and mask have no effect")
    for part in ("valid", "test"):
        if not kg.count(part):
            note(f"there are no {part} triples" + ("; the last weights are kept" if part == "valid" else ""))
    prepare()
    for needed in needed_neighborhoods(settings):
        with_progress(kg, **needed)
    progress = TrainingProgress()
    profiles = [Profile()] if profile else []
    try:
        run = emugraph.train(
            kg,
            settings=settings,
            output=output,
            device=device,
            checkpoints=checkpoints,
            callbacks=[progress, *trackers, *profiles],
            init_from=init_from,
            map_to=map_to,
            cuda_graphs=cuda_graphs,
            matmul_precision=matmul_precision,
        )
    finally:
        progress.close()
    for measured in profiles:
        print_profile(measured, run.metrics["steps"])
    print_run(run, json)
