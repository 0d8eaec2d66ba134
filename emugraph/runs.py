"""A run's folder on disk, and a trained model opened from it.

::

    config.toml          format, data set, and every setting that ran
    graph/               entities.json, relations.json, names.json, triples.safetensors
    weights.safetensors  the embeddings, those of the best validation
    log.jsonl            one line a training record and a line a validation
    figures.json         the final figures
    environment.json     versions and machine

A folder holds all that is needed to use the model: labels and triples too.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from emugraph import toml
from emugraph.environment import choose_device, machine, versions
from emugraph.errors import EmugraphError, InputError
from emugraph.evaluation import Evaluator
from emugraph.files import explain_write_errors, replacing, write_text
from emugraph.graph import KnowledgeGraph
from emugraph.models import Model, model_class
from emugraph.reading import SPLITS
from emugraph.settings import Settings
from emugraph.vocabulary import Vocabulary

FORMAT = 1


@dataclass
class Run:
    """A trained model with its graph and settings.

    Args:
        path: its folder.
        kg: the graph that it was trained on.
        settings: the settings that ran.
        model: the score function with its best weights.
        figures: the final figures: ``seconds``, ``steps``, ``best_step``, and for each evaluated split its figures.
    """

    path: Path
    kg: KnowledgeGraph
    settings: Settings
    model: Model
    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def device(self) -> torch.device:
        """The device of the model."""
        return self.model.entities.device

    def evaluate(
        self,
        split: str = "test",
        *,
        filtered: bool = True,
        ties: bool = False,
        advance: Callable[[int], None] | None = None,
    ) -> dict[str, Any]:
        """Figures of a split, computed now; see :meth:`emugraph.evaluation.Evaluator.evaluate`."""
        evaluator = Evaluator(self.kg, self.device)
        return evaluator.evaluate(self.model, split, filtered=filtered, ties=ties, advance=advance)

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}, {self.settings.model} on {self.kg.name})"


def load(path: str | Path, *, device: str = "auto") -> Run:
    """Open a run folder.

    Args:
        path: the folder that ``emugraph train`` wrote.
        device: "auto", "cpu" or "cuda".

    Raises:
        InputError: there is no such folder, or it is not a run's.
        EmugraphError: a file in it is damaged or missing.
    """
    path = Path(path)
    if not (path / "config.toml").is_file():
        raise InputError(f"{path} is not a run folder: it has no config.toml; give the folder that training wrote")
    config = toml.read(path / "config.toml")
    if config.get("format") != FORMAT:
        raise EmugraphError(
            f"{path / 'config.toml'} has format {config.get('format')!r}; this version reads format {FORMAT}"
        )
    if not isinstance(config.get("settings"), dict):
        raise EmugraphError(f"{path / 'config.toml'} is damaged: it has no table of settings")
    settings = Settings.create(config["settings"], source=str(path / "config.toml"))
    if not (path / "weights.safetensors").is_file():
        raise EmugraphError(f"{path} has no weights.safetensors: training ended before it kept any; train again")
    kg = read_graph(path / "graph", str(config.get("dataset", path.name)))
    model = model_class(settings.model)(kg.num_entities, kg.num_relations, settings.dim, reciprocal=settings.reciprocal)
    weights = _read_tensors(path / "weights.safetensors")
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    if found != expected:
        raise EmugraphError(f"{path / 'weights.safetensors'} holds {found}; config.toml asks for {expected}")
    if not all(tensor.dtype == torch.float32 and tensor.isfinite().all() for tensor in weights.values()):
        raise EmugraphError(f"{path / 'weights.safetensors'} is damaged: not all its numbers are finite float32")
    model.load_state_dict(weights)
    figures = read_json(path / "figures.json") if (path / "figures.json").is_file() else {}
    return Run(path, kg, settings, model.to(choose_device(device)), figures)


def default_folder(kg: KnowledgeGraph, settings: Settings) -> Path:
    """``runs/DATASET-MODEL-DATE-TIME``, with a number added where that exists."""
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    name = re.sub(r"[^\w.-]+", "_", kg.name).strip(".")[:100]
    base = Path("runs") / f"{name}-{settings.model}-{stamp}"
    path, number = base, 2
    while path.exists():
        path, number = base.with_name(f"{base.name}-{number}"), number + 1
    return path


def check_new(path: Path) -> None:
    """Raise InputError if the folder already holds something."""
    try:
        taken = path.is_file() or (path.is_dir() and any(path.iterdir()))
    except OSError as error:
        raise InputError(
            f"{path} cannot be a run folder: {error.strerror}; choose another one with --output"
        ) from error
    if taken:
        raise InputError(f"{path} already exists and is not empty; choose another folder with --output")


def create_folder(path: Path, kg: KnowledgeGraph, settings: Settings, device: torch.device) -> None:
    """Write what is known before the first step: configuration, graph and environment."""
    check_new(path)
    write_graph(path / "graph", kg)
    write_json(path / "environment.json", {"versions": versions(), "machine": machine(device)})
    config = {"format": FORMAT, "dataset": kg.name, "settings": settings.to_toml()}
    write_text(path / "config.toml", toml.dumps(config))


def write_weights(path: Path, weights: dict[str, torch.Tensor]) -> None:
    """Write a model's weights into its run folder."""
    _write_tensors(path / "weights.safetensors", weights)


def write_graph(folder: Path, kg: KnowledgeGraph) -> None:
    """Write a graph's vocabularies, names and triples into a folder."""
    write_json(folder / "entities.json", kg.entities.labels)
    write_json(folder / "relations.json", kg.relations.labels)
    if kg.entity_names is not None:
        write_json(folder / "names.json", list(kg.entity_names))
    _write_tensors(folder / "triples.safetensors", {split: kg.triples(split).int() for split in SPLITS})


def read_graph(folder: Path, name: str) -> KnowledgeGraph:
    """Read what :func:`write_graph` wrote."""
    names = _read_labels(folder / "names.json", optional=True) if (folder / "names.json").is_file() else None
    triples = _read_tensors(folder / "triples.safetensors")
    if set(triples) != set(SPLITS):
        raise EmugraphError(f"{folder / 'triples.safetensors'} holds {sorted(triples)}; expected {sorted(SPLITS)}")
    try:
        return KnowledgeGraph(
            Vocabulary(_read_labels(folder / "entities.json"), "entity"),
            Vocabulary(_read_labels(folder / "relations.json"), "relation"),
            **triples,
            name=name,
            entity_names=names,
        )
    except InputError as error:
        raise EmugraphError(f"{folder} is damaged: {error}") from error


def _read_labels(path: Path, *, optional: bool = False) -> list[Any]:
    labels = read_json(path)
    kinds = (str, type(None)) if optional else (str,)
    if not isinstance(labels, list) or not all(isinstance(label, kinds) for label in labels):
        raise EmugraphError(f"{path} is damaged: it is not a list of labels")
    return labels


def write_json(path: Path, value: Any) -> None:
    """Write JSON, a list with an item a line."""
    write_text(
        path, json.dumps(value, ensure_ascii=False, allow_nan=False, indent=0 if isinstance(value, list) else 2) + "\n"
    )


def append_json_line(path: Path, value: Any) -> None:
    """Add one line of JSON to a log."""
    with explain_write_errors(path), path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON. Raises EmugraphError, naming the file, if it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise EmugraphError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise EmugraphError(f"{path} is damaged: {error}") from error


def _write_tensors(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}))


def _read_tensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        tensors: dict[str, torch.Tensor] = load_file(path)
    except OSError as error:
        raise EmugraphError(f"cannot read {path}: {error.strerror or error}") from error
    except SafetensorError as error:
        raise EmugraphError(f"{path} is damaged: {error}") from error
    return tensors
