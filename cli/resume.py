"""``emugraph resume``."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated

import typer

from emugraph.cli.options import CudaGraphs, MapTo, MatmulPrecision, Track
from emugraph.cli.output import guarded, note, print_run


@guarded
def resume(
    run: Annotated[Path, typer.Argument(help="The folder that training wrote.")],
    steps: Annotated[
        int | None,
        typer.Option(
            help="Steps of the whole run, at least as many as before. [default: as before]", show_default=False
        ),
    ] = None,
    map_to: MapTo = None,
    cuda_graphs: CudaGraphs = False,
    matmul_precision: MatmulPrecision = None,
    track: Track = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """Resume a run from its last checkpoint, and print its test metrics.

    What comes out is what an unbroken run would have given.

    Example: emugraph resume runs/my-run
    """
    import emugraph
    from emugraph.cli.progress import TrainingProgress, prepare
    from emugraph.runs.contents import environment_changes
    from emugraph.runs.folder import RunFolder
    from emugraph.runs.trackers import build_trackers
    from emugraph.system import choose_device, with_matmul_precision

    trackers = build_trackers(track or ())
    with with_matmul_precision(matmul_precision):
        changes = environment_changes(RunFolder.open(run), choose_device(device))
    if changes:
        note(f"since the run began, {'; '.join(changes)}: its last digits may differ from those of an unbroken run")
    prepare()
    progress = TrainingProgress()
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *where, **options: note(str(message))  # for a reader, without code
            resumed = emugraph.resume(
                run,
                steps=steps,
                device=device,
                callbacks=[progress, *trackers],
                map_to=map_to,
                cuda_graphs=cuda_graphs,
                matmul_precision=matmul_precision,
            )
    finally:
        progress.close()
    print_run(resumed, json)
