"""What a run's folder holds, to and from files: settings, graph, weights and checkpoints."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from emugraph.data.graph import KnowledgeGraph
from emugraph.data.label_store import Labels, read_labels, write_labels
from emugraph.data.stored_triples import stored_rows
from emugraph.data.vocabulary import Vocabulary
from emugraph.embeddings import files
from emugraph.embeddings.table import Table, tables_of
from emugraph.errors import EmugraphError, InputError, nearest
from emugraph.io import toml
from emugraph.io.state_dict import State
from emugraph.io.tensor_files import all_finite, map_tensors, map_values, nbytes, write_tensors
from emugraph.models import Model, model_class
from emugraph.prediction.calibration import Calibration
from emugraph.runs import old_formats
from emugraph.runs.folder import CALIBRATION, CONFIG, ENVIRONMENT, FORMAT, METRICS, WEIGHTS, RunFolder
from emugraph.system import format_bytes, machine, versions
from emugraph.training.settings import Settings, with_current_names
from emugraph.types import SPLITS

_CONFIG_KEYS = ("format", "dataset", "settings", "checkpoints", "init_from")

_HEADER = 1 << 16
"""Bytes that the header of a file of weights may have."""


@dataclass(frozen=True)
class Checkpoints:
    """When a run writes down where it stands, so that it can go on from there; it costs no accuracy, and little time.

    Args:
        minutes: after so many minutes; 0 for never by the clock.
        steps: also after every so many steps; None for never by steps.
        keep: how many to keep, the latest ones; at least 1. The best weights are kept besides.

    Raises:
        InputError: a value out of range.
    """

    minutes: float = 5.0
    steps: int | None = None
    keep: int = 2

    def __post_init__(self) -> None:
        if not 0 <= self.minutes < float("inf"):
            raise InputError(f"checkpoint minutes = {self.minutes}: they must be 0 or more")
        if self.steps is not None and self.steps < 1:
            raise InputError(f"checkpoint steps = {self.steps}: they must be at least 1")
        if self.keep < 1:
            raise InputError(f"checkpoints to keep = {self.keep}: it must be at least 1")


@dataclass(frozen=True)
class Config:
    """What a run's config.toml says."""

    dataset: str
    settings: Settings
    checkpoints: Checkpoints
    init_from: str | None = None
    """Where the embeddings that it started from were, for the record."""


def write_config(folder: RunFolder, config: Config) -> None:
    """Write config.toml."""
    checkpoints = {name: value for name, value in asdict(config.checkpoints).items() if value is not None}
    values = {
        "format": FORMAT,
        "dataset": config.dataset,
        "settings": config.settings.to_toml(),
        "checkpoints": checkpoints,
    }
    if config.init_from is not None:
        values["init_from"] = config.init_from
    folder.write_text(CONFIG, toml.dumps(values))


def read_config(folder: RunFolder) -> Config:
    """Read config.toml. Raises EmugraphError, naming the file, if it is damaged."""
    path = folder.path / CONFIG
    try:
        values = toml.loads(folder.read(CONFIG).decode("utf-8"), str(path))
    except UnicodeDecodeError as error:
        raise EmugraphError(f"{path} is damaged: {error}") from error
    if not isinstance(values.get("settings"), dict):
        raise EmugraphError(f"{path} is damaged: it has no table of settings")
    for key, value in values.items():
        if key not in _CONFIG_KEYS:
            raise EmugraphError(f"{path} is damaged: unknown key {key!r}.{nearest(key, _CONFIG_KEYS)}")
        if key in ("dataset", "init_from") and not isinstance(value, str):
            raise EmugraphError(f"{path} is damaged: {key} is {value!r:.50}, and no text")
    try:
        current = with_current_names(values["settings"])
    except InputError as error:
        raise EmugraphError(f"{path} is damaged: {error}") from error
    settings = Settings.create(current, source=str(path))
    checkpoints = values.get("checkpoints", {})
    try:
        return Config(values.get("dataset", "graph"), settings, Checkpoints(**checkpoints), values.get("init_from"))
    except (TypeError, InputError) as error:
        raise EmugraphError(f"{path} is damaged: checkpoints: {error}") from error


def write_environment(folder: RunFolder, device: torch.device) -> None:
    """Write what a run is made with."""
    folder.write_json(ENVIRONMENT, _environment(device))


def _environment(device: torch.device) -> dict[str, dict[str, Any]]:
    return {"versions": versions(), "machine": machine(device)}


def environment_changes(folder: RunFolder, device: torch.device) -> list[str]:
    """What is other now than when a run began, of all that may change its numbers in their last digits."""
    before = folder.read_json(ENVIRONMENT) if folder.has(ENVIRONMENT) else {}
    now = _environment(device)
    changes = []
    for part, name in (("versions", "emugraph"), ("versions", "torch"), ("versions", "dgl"), ("machine", "threads"),
                       ("machine", "device"), ("machine", "processor"), ("machine", "matmul_precision")):  # fmt: skip
        old = before.get(part, {}).get(name)
        if old is not None and old != now[part][name]:
            changes.append(f"{name} was {old}, is {now[part][name]}")
    return changes


def write_graph(folder: RunFolder, kg: KnowledgeGraph) -> None:
    """Write a graph's vocabularies, names and triples."""
    lists = {"entities": kg.entities.labels, "relations": kg.relations.labels, "names": kg.entity_names}
    for name, labels in lists.items():
        if labels is not None:
            folder.write(f"graph/{name}.json", partial(write_labels, labels=labels))
    triples = {split: kg.triples(split).int() for split in SPLITS}
    folder.write("graph/triples.safetensors", lambda path: write_tensors(path, triples))


def read_graph(folder: RunFolder, name: str) -> KnowledgeGraph:
    """Read what :func:`write_graph` wrote. Raises EmugraphError, naming the file, if it is damaged."""
    names = _read_labels(folder, "names", optional=True) if folder.has("graph/names.json") else None
    path = folder.path / "graph" / "triples.safetensors"
    triples: dict[str, Any] = folder.use("graph/triples.safetensors", stored_rows)
    if set(triples) != set(SPLITS):
        raise EmugraphError(f"{path} is damaged: it holds {sorted(triples)}, not {sorted(SPLITS)}")
    try:
        return KnowledgeGraph(
            Vocabulary(_read_labels(folder, "entities"), "entity"),
            Vocabulary(_read_labels(folder, "relations"), "relation"),
            **triples,
            name=name,
            entity_names=names,
        )
    except InputError as error:
        raise EmugraphError(f"{folder.path / 'graph'} is damaged: {error}") from error


def _read_labels(folder: RunFolder, name: str, *, optional: bool = False) -> Labels[Any]:
    file = f"graph/{name}.json"
    with folder.opened(file) as stream:
        try:
            return read_labels(stream, optional=optional)
        except InputError as error:
            raise EmugraphError(f"{folder.path / file} is damaged: {error}") from error


def write_weights(folder: RunFolder, weights: dict[str, Tensor]) -> None:
    """Write a model's weights."""
    folder.write(WEIGHTS, lambda path: write_tensors(path, weights))


def read_weights(folder: RunFolder) -> dict[str, Tensor]:
    """A model's weights, mapped into memory. Raises EmugraphError, naming the file, if they are damaged."""
    return folder.use(WEIGHTS, map_tensors)


def read_model(folder: RunFolder, kg: KnowledgeGraph, settings: Settings) -> Model:
    """A model with the weights of a run.

    Raises:
        EmugraphError: there are none, or they are not those of such a model; before memory is taken for them.
    """
    path = folder.path / WEIGHTS
    if not folder.has(WEIGHTS):
        raise EmugraphError(
            f"{folder.path} has no {WEIGHTS}: training was ended before it kept any; "
            f"go on with: emugraph resume {folder.path}"
        )
    with torch.device("meta"):
        model = model_class(settings.model)(
            kg.num_entities, kg.num_relations, settings.dim, reciprocal=settings.reciprocal
        )
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    largest = nbytes(model.state_dict()) + _HEADER
    size = path.stat().st_size
    if size > largest:
        raise EmugraphError(f"{path} has {format_bytes(size)}; what {CONFIG} asks for takes {format_bytes(largest)}")
    weights = folder.use(WEIGHTS, map_tensors, largest)
    shapes = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    if shapes != expected:
        raise EmugraphError(f"{path} holds {shapes}; {CONFIG} asks for {expected}")
    if not all(tensor.dtype == torch.float32 and all_finite(tensor) for tensor in weights.values()):
        raise EmugraphError(f"{path} is damaged: not all its numbers are finite float32")
    model.load_state_dict(weights, assign=True)
    return model


def load_embeddings(path: Path) -> dict[str, Table]:
    """Embeddings from a run's folder, or from a file of :func:`emugraph.embeddings.write_embeddings`.

    Raises:
        InputError: there is neither, or a file's name says no format.
        EmugraphError: it is damaged.
    """
    if not path.is_dir():
        return files.read_embeddings(path)
    folder = RunFolder.open(path)
    config = read_config(folder)
    kg = read_graph(folder, config.dataset)
    return tables_of(read_model(folder, kg, config.settings), kg)


def write_metrics(folder: RunFolder, metrics: dict[str, Any]) -> None:
    """Write the final metrics."""
    folder.write_json(METRICS, metrics)


def read_metrics(folder: RunFolder) -> dict[str, Any] | None:
    """Read what :func:`write_metrics` wrote; None where there is none. Raises EmugraphError if it is damaged."""
    for name in (METRICS, old_formats.METRICS):
        if folder.has(name):
            metrics = folder.read_json(name)
            if not isinstance(metrics, dict):
                raise EmugraphError(f"{folder.path / name} is damaged: it is {metrics!r:.50}")
            return metrics
    return None


def remove_results(folder: RunFolder) -> None:
    """Remove what the end of training writes: metrics and calibration."""
    for name in (METRICS, old_formats.METRICS, CALIBRATION):
        folder.remove(name)


def write_calibrations(folder: RunFolder, calibrations: tuple[Calibration | None, Calibration | None]) -> None:
    """Write the probabilities of entities and of relations, if there are any; null for one that there is not."""
    if any(calibrations):
        entities, relations = (None if fitted is None else asdict(fitted) for fitted in calibrations)
        folder.write_json(CALIBRATION, {"entities": entities, "relations": relations})


def read_calibrations(folder: RunFolder) -> tuple[Calibration | None, Calibration | None] | None:
    """Read what :func:`write_calibrations` wrote; None where there is none. Raises EmugraphError if it is damaged."""
    if not folder.has(CALIBRATION):
        return None
    values = folder.read_json(CALIBRATION)
    try:
        entities, relations = (
            None if points is None else Calibration(**old_formats.calibration_values(points))
            for points in (values["entities"], values["relations"])
        )
        return entities, relations
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise EmugraphError(f"{folder.path / CALIBRATION} is damaged: {error}") from error


def write_checkpoint(folder: RunFolder, step: int, state: State, keep: int) -> None:
    """Write where training stands after a step, and remove all but the latest ``keep`` checkpoints."""
    tensors = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    values = {name: value for name, value in state.items() if not isinstance(value, Tensor)}
    folder.write(f"checkpoints/step-{step:08}.safetensors", lambda path: write_tensors(path, tensors, values))
    for _, name in folder.checkpoints()[keep:]:
        folder.remove(name)


def read_checkpoint(folder: RunFolder) -> tuple[str, State] | None:
    """The name and the state of the latest checkpoint; None where there is none.

    Raises:
        EmugraphError: it is damaged; the message says what to do.
    """
    checkpoints = folder.checkpoints()
    if not checkpoints:
        return None
    name = checkpoints[0][1]
    try:
        state = folder.use(name, lambda path: {**map_values(path), **map_tensors(path)})
        return name, old_formats.checkpoint_state(state)
    except EmugraphError as error:
        before = f"step {checkpoints[1][0]:,}" if len(checkpoints) > 1 else "its beginning"
        raise EmugraphError(f"{error}. Delete it to go on from {before}") from error
