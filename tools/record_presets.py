"""Write into each preset, and into README.md, what their settings reached, from the results of ``emugraph reproduce``.

    python -m tools.record_presets [--results benchmarks/results/paper.jsonl benchmarks/results/samplers.jsonl]

A preset's ``measured`` table holds the means over its seeds of the test metrics and of the validation MRR, the seeds,
the steps, the median seconds, the machine, the version and the command. One whose settings have no result loses what
stands there, which other settings reached, and is named. README.md's table of metrics has a row for each preset with
EMU and uniform negatives that is measured.
"""

from __future__ import annotations

import argparse
import itertools
import re
import statistics
from pathlib import Path
from typing import Any

import emugraph
from emugraph.io import toml
from emugraph.io.atomic import write_text
from emugraph.reproduction.cells import title_of
from emugraph.reproduction.experiments import DATASETS, FILES, MODELS
from emugraph.reproduction.report import markdown_table
from emugraph.reproduction.results import Result, by_run, read_results
from emugraph.training.presets import PLAIN, read_presets
from emugraph.training.settings import Settings

PRESETS = Path(emugraph.__file__).parent / "training" / "presets"
README = Path(emugraph.__file__).parents[1] / "README.md"
COLUMNS = ("data", "model", "d", "test MRR", "Hits@1", "Hits@3", "Hits@10", "seeds", "minutes")
METRICS = ("test_mrr", "test_hits@1", "test_hits@3", "test_hits@10")
SEEDS = range(10)


def measured(results: list[Result]) -> dict[str, Any]:
    """The table of results that differ in their seed only."""
    first = results[0]
    metrics = {
        "test_mrr": [result.mrr for result in results],
        "test_hits@1": [result.hits_at_1 for result in results],
        "test_hits@3": [result.hits_at_3 for result in results],
        "test_hits@10": [result.hits_at_10 for result in results],
        "valid_mrr": [result.valid_mrr for result in results if result.valid_mrr is not None],
    }
    dim = "" if first.dim == 100 else f" --dim {first.dim}"
    method = " --no-emu" if first.settings["mixing"] == "none" else ""
    sampler = "" if first.sampler == "uniform" else f" --sampler {first.sampler}"
    return {
        **{name: round(statistics.fmean(values), 4) for name, values in metrics.items() if values},
        "seeds": [result.seed for result in results],
        "steps": first.steps,
        "seconds": round(statistics.median(result.seconds for result in results), 1),
        "machine": first.machine,
        "version": first.version,
        "command": f"emugraph train {first.dataset} --model {first.model}{method}{sampler}{dim} --seed {first.seed}",
    }


def record(text: str, dataset: str, results: list[Result]) -> tuple[str, list[str]]:
    """A preset file's text with its ``measured`` tables written anew, and the presets that have no results."""
    found = by_run(results)
    parts = re.split(r"^(?=\[)", text, flags=re.MULTILINE)
    written, missing = [parts[0]], []
    for part in parts[1:]:
        header = re.match(r"\[(\w+(?:-\w+)?)\.(\w+)(?:-[\w-]+)?\]\n", part)
        if header is None:  # a measured table
            continue
        model, method = header[1], header[2]
        written.append(part)
        values = {
            **(PLAIN if method == "plain" else {}),
            **toml.loads(part, dataset)[model].popitem()[1],
            "model": model,
        }
        keys = [
            (dataset, values.get("sampler", "uniform"), Settings.create({**values, "seed": seed})) for seed in SEEDS
        ]
        mine = [found[key] for key in keys if key in found]
        name = part[1 : part.index("]")]
        if mine:
            written.append(f"[{name}.measured]\n{toml.dumps(measured(mine))}\n")
        else:
            missing.append(name)
    return "".join(written).rstrip() + "\n", missing


def figures_table() -> str:
    """What the presets with EMU reached, in Markdown, from their files."""
    lines = []
    for dataset, model in itertools.product(sorted(DATASETS, reverse=True), MODELS):
        tables = read_presets(dataset)[model]
        for table in (tables[name] for name in tables if _is_uniform_emu(name) and "measured" in tables[name]):
            reached = table["measured"]
            start = [title_of(dataset), title_of(model), str(table["dim"])]
            seeds, minutes = str(len(reached["seeds"])), f"{reached['seconds'] / 60:.1f}"
            lines.append([*start, *(f"{reached[name]:.4f}" for name in METRICS), seeds, minutes])
    return markdown_table(COLUMNS, lines) + "\n"


def _is_uniform_emu(name: str) -> bool:
    return re.fullmatch(r"emu(-\d+)?", name) is not None


def with_figures(readme: str) -> str:
    """README.md's text with its table of metrics written anew."""
    header = f"| {' | '.join(COLUMNS)} |\n"
    before, after = readme.split(header)
    rest = re.sub(r"\A(?:\|.*\n)+", "", after)
    return before + figures_table() + rest


def main() -> None:
    """Rewrite all preset files and README.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    files = [Path("benchmarks/results") / name for name in FILES]
    parser.add_argument("--results", type=Path, nargs="+", default=files)
    results = [result for file in parser.parse_args().results for result in read_results(file)]
    for path in sorted(PRESETS.glob("*.toml")):
        text, missing = record(path.read_text(encoding="utf-8"), path.stem, results)
        write_text(path, text)
        print(path, *(f"  no results for {name}" for name in missing), sep="\n")
    write_text(README, with_figures(README.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
