"""From a model, a method and changes to complete settings, by way of presets."""

from __future__ import annotations

from typing import Any

from emugraph.data.graph import KnowledgeGraph
from emugraph.models import model_class
from emugraph.sampling import registry
from emugraph.training.presets import PLAIN, Method, dataset_of, find_preset
from emugraph.training.settings import Settings

_FOR_SHARED = ("batch_size", "negatives", "mask_group")


def resolve_settings(
    kg: KnowledgeGraph, model: str, changes: dict[str, Any], *, emu: bool = True
) -> tuple[Settings, bool]:
    """The preset of data set, model and method, if there is one, with changes on top; and whether there was one.

    The data set is the one whose labels and triples the graph has, whatever it is called.

    Negatives that are mixed by the changes are EMU, whatever ``emu`` says. Changes that name a dimension take the
    preset of that dimension, and the other settings of the model's first preset where it has none. Those that name a
    sampler take the preset for it, and the uniform one's where it has none. Where each positive then has negatives of
    its own, the uniform preset's numbers of positives and negatives are left out: they are meant for shared ones.
    """
    name = model_class(model).name
    emu = emu or changes.get("mixing", "none") != "none"
    method: Method = "emu" if emu else "plain"
    sampler = registry.canonical(changes.get("sampler", "uniform"))
    preset = None
    dataset = dataset_of(kg)
    if dataset is not None:
        preset_key = dataset, name, method, changes.get("dim")
        preset = find_preset(*preset_key, sampler) or find_preset(*preset_key)
    own = changes.get("sharing") == "per-positive" or bool(changes.get("filtered"))
    if preset and "sampler" not in preset and (own or not registry.shares_by_default(sampler)):
        preset = {key: value for key, value in preset.items() if key not in _FOR_SHARED}
    return Settings.create({**({} if emu else PLAIN), **(preset or {}), **changes, "model": name}), bool(preset)
