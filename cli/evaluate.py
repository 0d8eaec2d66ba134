"""``emugraph evaluate`` and ``emugraph compare``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emugraph.cli.options import MatmulPrecision
from emugraph.cli.output import guarded, note, print_json, print_metrics, print_table
from emugraph.errors import InputError, nearest

if TYPE_CHECKING:
    from emugraph import Run

BY = ("relation", "side", "category", "frequency", "probability")

Split = Annotated[str, typer.Option("--split", help="train, valid or test.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
Json = Annotated[bool, typer.Option("--json", help="Print the metrics as one JSON object.")]


@guarded
def evaluate(
    run: Annotated[Path, typer.Argument(help="The folder that training wrote.")],
    split: Split = "test",
    raw: Annotated[bool, typer.Option("--raw", help="Raw metrics: do not filter other known answers.")] = False,
    ties: Annotated[bool, typer.Option("--ties", help="Also print optimistic and pessimistic ranks of ties.")] = False,
    by: Annotated[
        str | None,
        typer.Option(
            "--by",
            help="Break metrics down, with 95 % confidence intervals: relation, side, category (1-1, 1-N, N-1, N-N), "
            "frequency (of the answer in training), or probability (reliability of predicted probabilities).",
            show_default=False,
        ),
    ] = None,
    relations: Annotated[
        bool, typer.Option("--relations", help="Relation prediction: rank the relation between head and tail.")
    ] = False,
    negatives: Annotated[
        Path | None,
        typer.Option("--negatives", help="Triple classification: a file of false triples.", show_default=False),
    ] = None,
    valid_negatives: Annotated[
        Path | None,
        typer.Option(
            "--valid-negatives", help="False triples for validation, to choose thresholds.", show_default=False
        ),
    ] = None,
    device: Device = "auto",
    matmul_precision: MatmulPrecision = None,
    json: Json = False,
) -> None:
    """Rank a split with a trained model and print the metrics.

    Example: emugraph evaluate runs/my-run --by relation
    """
    import emugraph
    from emugraph.system import with_matmul_precision

    if sum((by is not None, relations, negatives is not None)) > 1:
        raise InputError("give one of --by, --relations and --negatives")
    if (relations or negatives is not None or by is not None) and (ties or (raw and by in (None, "probability"))):
        raise InputError("--raw and --ties go with the plain metrics, --raw also with --by")
    if valid_negatives is not None and negatives is None:
        raise InputError("--valid-negatives goes with --negatives")
    if by is not None and by not in BY:
        raise InputError(f"unknown groups {by!r}; known: {', '.join(BY)}.{nearest(by, BY)}")
    opened = emugraph.load(run, device=device)
    header = {"run": str(run), "dataset": opened.kg.name, "split": split}
    title = f"{opened.kg.name}, {split}, {'raw' if raw else 'filtered'}"
    with with_matmul_precision(matmul_precision):
        if by == "probability":
            _reliability(opened, split, header, json)
        elif by is not None:
            _groups(opened, split, by, raw, {**header, "by": by, "filtered": not raw}, f"{title}, by {by}", json)
        elif negatives is not None:
            _classification(opened, split, negatives, valid_negatives, header, json)
        else:
            _metrics(opened, split, relations, raw, ties, header, title, json)


def _metrics(
    run: Run, split: str, relations: bool, raw: bool, ties: bool, header: dict[str, Any], title: str, json: bool
) -> None:
    from emugraph.cli.progress import counting

    count = run.kg.count(split)
    with counting("ranking", count if relations else 2 * count) as advance:
        if relations:
            metrics = run.evaluate_relations(split, advance=advance)
        else:
            metrics = run.evaluate(split, filtered=not raw, ties=ties, advance=advance)
    if json:
        print_json({**header, **metrics})
    else:
        print_metrics(f"{title}, {metrics['triples']:,} triples", metrics)


def _groups(run: Run, split: str, by: str, raw: bool, header: dict[str, Any], title: str, json: bool) -> None:
    from emugraph.cli.progress import counting

    with counting("ranking", 2 * run.kg.count(split)) as advance:
        rows = run.rankings(split, filtered=not raw, advance=advance).by(by)
    if json:
        print_json({**header, "groups": rows})
        return
    names = ["", "rankings", "MRR", "95 % interval", "Hits@1", "Hits@10", "tails", "heads"]
    cells = []
    for row in rows:
        bounds = "" if row["low"] is None else f"{row['low']:.3f}-{row['high']:.3f}"
        shown = ["" if row[n] is None else f"{row[n]:.3f}" for n in ("mrr", "hits@1", "hits@10", "tail", "head")]
        cells.append([row["group"], f"{row['rankings']:,}", shown[0], bounds, *shown[1:]])
    print_table(title, names, cells)


def _reliability(run: Run, split: str, header: dict[str, Any], json: bool) -> None:
    from emugraph.cli.progress import busy

    with busy("ranking"):
        metrics = run.reliability(split)
    if json:
        print_json({**header, **metrics})
        return
    cells = [
        [
            f"{row['from']:.1f}-{row['to']:.1f}",
            f"{row['answers']:,}",
            f"{row['probability']:.4f}",
            f"{row['observed']:.4f}",
        ]
        for row in metrics["bins"]
    ]
    print_table(f"{run.kg.name}, {split}, the best 10 answers", ["", "answers", "probability", "observed"], cells)
    note(f"expected calibration error {metrics['expected_calibration_error']:.4f}, Brier score {metrics['brier']:.4f}")


def _classification(
    run: Run, split: str, negatives: Path, valid_negatives: Path | None, header: dict[str, Any], json: bool
) -> None:
    from emugraph.data.triple_files import read_triples

    others = None if valid_negatives is None else read_triples(valid_negatives)
    metrics = run.classify(read_triples(negatives), others, split)
    if json:
        print_json({**header, **metrics})
        return
    names = {"auc_pr": "AUC-PR", "auc_roc": "AUC-ROC", "accuracy": "accuracy", "f1": "F1"}
    counts = f"{metrics['positives']:,} true and {metrics['negatives']:,} false triples"
    cells = [[label, f"{metrics[name]:.4f}"] for name, label in names.items() if name in metrics]
    print_table(f"{run.kg.name}, {split}, {counts}", ["", ""], cells)


@guarded
def compare(
    first: Annotated[Path, typer.Argument(help="The folder of a run.")],
    second: Annotated[Path, typer.Argument(help="The folder of another run on the same data.")],
    split: Split = "test",
    changed: Annotated[int, typer.Option("--changed", min=0, help="List so many of the most changed answers.")] = 10,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Compare two runs, triple by triple: differences with confidence intervals and p-values, and what changed most.

    Example: emugraph compare runs/plain runs/emu
    """
    import emugraph
    from emugraph.cli.progress import counting
    from emugraph.evaluation.comparison import compare as compared

    opened = [emugraph.load(path, device=device) for path in (first, second)]
    with counting("ranking", sum(2 * run.kg.count(split) for run in opened)) as advance:
        rankings = [run.rankings(split, advance=advance) for run in opened]
    metrics = compared(*rankings, changed=changed)
    kg = opened[0].kg
    rows = [
        row | {"head": kg.entities[row["head"]], "relation": kg.relations[row["relation"]],
               "tail": kg.entities[row["tail"]]}
        for row in metrics["changed"]
    ]  # fmt: skip
    if json:
        print_json({"first": str(first), "second": str(second), "split": split, **metrics, "changed": rows})
        return
    cells = []
    for name, label in (("mrr", "MRR"), *((f"hits@{k}", f"Hits@{k}") for k in (1, 3, 10))):
        values = metrics[name]
        shown = (f"{values['first']:.4f}", f"{values['second']:.4f}", f"{values['difference']:+.4f}")
        bounds = ["" if values[n] is None else f"{values[n]:+.4f}" for n in ("low", "high")]
        cells.append([label, *shown, *bounds, "" if values["p_value"] is None else f"{values['p_value']:.4f}"])
    title = f"{kg.name}, {split}, filtered, {metrics['triples']:,} triples"
    print_table(title, ["", "first", "second", "difference", "from", "to", "p"], cells)
    note(f"rankings: {metrics['better']:,} better, {metrics['worse']:,} worse, {metrics['equal']:,} equal")
    if rows:
        shown_rows = [
            [_shown(kg, row, "head"), row["relation"], _shown(kg, row, "tail"), row["side"], f"{row['first']:g}",
             f"{row['second']:g}"]
            for row in rows
        ]  # fmt: skip
        columns = ["head", "relation", "tail", "target", "rank in first", "in second"]
        print_table("what changed most", columns, shown_rows, texts=4)


def _shown(kg: Any, row: dict[str, Any], part: str) -> str:
    return str(kg.display(kg.entity_id(row[part])))
