"""``emugraph analyze``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emugraph.cli.options import Force
from emugraph.cli.output import check_output, guarded, note, print_json, print_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

app = typer.Typer(help="What negatives look like: Figures 3 to 5 of the EMU paper.", no_args_is_help=True)

RunFolder = Annotated[Path, typer.Argument(help="The folder that training wrote.")]
Rate = Annotated[float, typer.Option("--mutation-rate", help="Share of components that EMU takes from the positive.")]
Hops = Annotated[int, typer.Option("--hops", help="Hops of SANS's negatives.")]
Seed = Annotated[int, typer.Option("--seed", help="Random seed.")]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="Write a plot: .png, .svg or .pdf.", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command("similarity")
@guarded
def similarity(
    run: RunFolder,
    positives: Annotated[int, typer.Option("--positives", min=1, help="Triples to look at.")] = 1000,
    negatives: Annotated[int, typer.Option("--negatives", min=1, help="Negatives of each.")] = 64,
    mutation_rate: Rate = 0.6,
    hops: Hops = 2,
    seed: Seed = 0,
    output: Output = None,
    force: Force = False,
    json: Json = False,
) -> None:
    """How near negatives are to their positive, by cosine: uniform, SANS, EMU and MIXUP (Figure 4).

    Example: emugraph analyze similarity runs/my-run -o similarity.png
    """
    import emugraph
    from emugraph.analysis import negative_similarities
    from emugraph.analysis.negatives import TITLES
    from emugraph.cli.progress import busy

    _check(output, force)
    with busy("drawing negatives"):
        opened = emugraph.load(run, device="cpu")
        similarities = negative_similarities(
            opened, positives=positives, k=negatives, mutation_rate=mutation_rate, hops=hops, seed=seed
        )
        _picture("draw_similarities", similarities, output)
    summary = similarities.summary()
    if json:
        print_json({"run": str(run), "cosine": summary})
        return
    rows = [[TITLES[kind], *(f"{value:.3f}" for value in values.values())] for kind, values in summary.items()]
    print_table(f"{opened.kg.name}, cosine with the true tail", ["", *next(iter(summary.values()))], rows)


@app.command("pca")
@guarded
def pca(
    run: RunFolder,
    head: Annotated[str | None, typer.Option("--head", help="The positive's head.", show_default=False)] = None,
    relation: Annotated[str | None, typer.Option("--relation", help="Its relation.", show_default=False)] = None,
    tail: Annotated[str | None, typer.Option("--tail", help="Its tail.", show_default=False)] = None,
    negatives: Annotated[int, typer.Option("--negatives", min=2, help="Negatives to draw.")] = 500,
    mutation_rate: Rate = 0.6,
    hops: Hops = 2,
    seed: Seed = 0,
    output: Output = None,
    force: Force = False,
    json: Json = False,
) -> None:
    """How negatives lie around one positive, and how round their cloud is (Figure 5).

    Without a triple, one whose head and relation have most tails is taken.

    Example: emugraph analyze pca runs/my-run -o pca.png
    """
    import emugraph
    from emugraph.analysis import negative_clouds
    from emugraph.analysis.negatives import TITLES
    from emugraph.cli.progress import busy
    from emugraph.errors import InputError

    _check(output, force)
    triple_parts = [part for part in (head, relation, tail) if part is not None]
    if len(triple_parts) not in (0, 3):
        raise InputError("give --head, --relation and --tail, or none of them")
    with busy("drawing negatives"):
        opened = emugraph.load(run, device="cpu")
        clouds = negative_clouds(
            opened, (triple_parts[0], triple_parts[1], triple_parts[2]) if triple_parts else None, k=negatives,
            mutation_rate=mutation_rate, hops=hops, seed=seed,
        )  # fmt: skip
        _picture("draw_clouds", clouds, output)
    kg = opened.kg
    h, r, t = clouds.triple
    if json:
        triple = [kg.entities[h], kg.relations[r], kg.entities[t]]
        print_json({"run": str(run), "triple": triple, "tails": len(clouds.tails), "measures": clouds.measures})
        return
    rows = [[TITLES[kind], f"{m['isotropy']:.3f}", f"{m['distance']:.3f}"] for kind, m in clouds.measures.items()]
    print_table(f"{kg.name}, negatives around 100 positives", ["", "isotropy", "distance"], rows)
    note(f"drawn around: {kg.display(h)}, {kg.relations[r]}, {kg.display(t)}")


@app.command("bars")
@guarded
def bars(
    results: Annotated[
        list[Path] | None,
        typer.Argument(help="Files of results. [default: benchmarks/results/*.jsonl]", show_default=False),
    ] = None,
    dim: Annotated[int, typer.Option("--dim", help="Dimension.")] = 100,
    output: Output = None,
    force: Force = False,
    json: Json = False,
) -> None:
    """MRR per model, sampler and method, from measured results (Figure 3).

    Example: emugraph analyze bars -o bars.png
    """
    from emugraph.analysis import read_bars
    from emugraph.reproduction.experiments import FILES

    _check(output, force)
    bars_data = read_bars(results or [Path("benchmarks/results") / name for name in FILES], dim)
    _picture("draw_bars", bars_data, output)
    if json:
        print_json({"dim": dim, "mrr": bars_data.values})
        return
    for dataset, series in bars_data.values.items():
        models = list(dict.fromkeys(model for values in series.values() for model in values))
        rows = [[name, *(f"{v[m]:.4f}" if m in v else "" for m in models)] for name, v in series.items()]
        print_table(f"{dataset}, d = {dim}, test MRR", ["", *models], rows)


def _check(output: Path | None, force: bool) -> None:
    check_output(output, force)
    if output is not None:
        from emugraph.analysis.plots import check_picture

        check_picture(output)


def _picture(drawn: str, data: Any, output: Path | None) -> None:
    """Draw the data, if there is an output."""
    if output is None:
        return
    from emugraph.analysis import plots

    figure: Figure = getattr(plots, drawn)(data)
    plots.save(figure, output)
    note(f"drawn: {output}")
