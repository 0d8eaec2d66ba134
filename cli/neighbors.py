"""``emugraph neighbors``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from emugraph.cli.output import guarded, note, print_json, print_table, stdout

if TYPE_CHECKING:
    from emugraph import KnowledgeGraph
    from emugraph.neighbors import Neighborhood

app = typer.Typer(help="Neighbourhoods that structure-aware negatives are drawn from.", no_args_is_help=True)

Dataset = Annotated[str, typer.Argument(help="A data set's name, or a folder with train/valid/test files.")]
Hops = Annotated[int, typer.Option("--hops", "-k", help="How far candidates may be, or how long walks are.")]
Walks = Annotated[
    int, typer.Option("--walks", "-w", help="Random walks from each entity; 0 for all entities within reach.")
]
Seed = Annotated[int, typer.Option("--seed", help="Seed of the walks.")]
MaxMemory = Annotated[
    str | None,
    typer.Option("--max-memory", help="Refuse beyond this, as 8GB. [default: half the memory]", show_default=False),
]
Split = Annotated[
    str | None,
    typer.Option("--split", help="For one file: shares of train, valid, test, as 0.8,0.1,0.1.", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command("precompute")
@guarded
def precompute(
    dataset: Dataset = "wn18rr",
    hops: Hops = 3,
    walks: Walks = 0,
    seed: Seed = 0,
    max_memory: MaxMemory = None,
    split: Split = None,
    json: Json = False,
) -> None:
    """Compute the neighbourhood of every entity into the cache; nothing happens if it is there.

    Example: emugraph neighbors precompute wn18rr --hops 3
    """
    from emugraph.neighbors import stored_at

    kg, options = _load(dataset, split, hops, walks, seed, max_memory)
    computed = with_progress(kg, **options)
    place = stored_at(kg, hops, walks=walks, seed=seed)
    if json:
        print_json({"dataset": kg.name, **computed.statistics(), "where": str(place)})
    else:
        stdout.print(
            f"{escape(kg.name)}: {len(computed.candidates):,} candidates of {computed.num_entities:,} entities, "
            f"in {escape(str(place))}",
            soft_wrap=True,
        )


@app.command("show")
@guarded
def show(
    dataset: Dataset,
    entity: Annotated[str, typer.Argument(help="An entity's label, or its name where only one has it.")],
    hops: Hops = 3,
    walks: Walks = 0,
    seed: Seed = 0,
    max_memory: MaxMemory = None,
    split: Split = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="Print so many candidates; 0 for all.")] = 50,
    json: Json = False,
) -> None:
    """Print the candidates of an entity.

    Example: emugraph neighbors show wn18rr 02084071 --hops 1
    """
    kg, options = _load(dataset, split, hops, walks, seed, max_memory)
    entity_id = kg.entity_id(entity)  # so that a mistake shows before anything is computed
    candidates = with_progress(kg, **options).of(entity_id).tolist()
    shown = candidates[:limit] if limit else candidates
    if json:
        print_json({
            "dataset": kg.name, "entity": kg.entities[entity_id], "hops": hops, "walks": walks,
            "count": len(candidates), "candidates": [kg.entities[i] for i in shown],
        })  # fmt: skip
        return
    for candidate in shown:
        stdout.print(escape(kg.display(candidate)), soft_wrap=True)
    left = (
        f", {len(candidates) - len(shown):,} not printed (--limit 0 prints all)" if len(shown) < len(candidates) else ""
    )
    note(f"{kg.display(entity_id)}: {len(candidates):,} candidates{left}")


@app.command("stats")
@guarded
def stats(
    dataset: Dataset = "wn18rr",
    hops: Hops = 3,
    walks: Walks = 0,
    seed: Seed = 0,
    max_memory: MaxMemory = None,
    split: Split = None,
    json: Json = False,
) -> None:
    """Print how many candidates entities have.

    Example: emugraph neighbors stats wn18rr --hops 2
    """
    kg, options = _load(dataset, split, hops, walks, seed, max_memory)
    statistics = with_progress(kg, **options).statistics()
    if json:
        print_json({"dataset": kg.name, **statistics})
    else:
        print_table(f"{kg.name}, candidates of an entity", ["", ""], [[k, f"{v:,}"] for k, v in statistics.items()])


def with_progress(kg: KnowledgeGraph, **options: Any) -> Neighborhood:
    """A graph's neighbourhood, computed if it is not in the cache, with what is expected and a bar on the terminal."""
    from emugraph.cli.progress import counting
    from emugraph.neighbors import neighborhood

    with counting("entities", kg.num_entities) as advance:
        return neighborhood(kg, **options, on_estimate=lambda expected: note(str(expected)), advance=advance)


def _load(dataset: str, split: str | None, hops: int, walks: int, seed: int, max_memory: str | None) -> Any:
    """The graph and the options of the neighbourhood, checked."""
    from emugraph import load_dataset
    from emugraph.neighbors.size_estimate import check_reach
    from emugraph.system import parse_bytes

    check_reach(hops, walks, seed)
    bound = None if max_memory is None else parse_bytes(max_memory)
    options = {"hops": hops, "walks": walks, "seed": seed, "max_memory": bound}
    return load_dataset(dataset, split=split), options
