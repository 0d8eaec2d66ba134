"""Score functions, one a file, behind the contract of :class:`emugraph.models.base.Model`."""

from __future__ import annotations

from emugraph._renamed import names_of
from emugraph.errors import InputError, nearest
from emugraph.models.base import Model
from emugraph.models.complex import ComplEx
from emugraph.models.distmult import DistMult
from emugraph.models.rotate import RotatE
from emugraph.models.transe import TransE, TransEL2

__all__ = [
    "MODELS",
    "ComplEx",
    "DistMult",
    "Model",
    "RotatE",
    "TransE",
    "TransEL2",
    "model_class",
]

MODELS: dict[str, type[Model]] = {model.name: model for model in (TransE, TransEL2, DistMult, ComplEx, RotatE)}


def model_class(name: str) -> type[Model]:
    """The model of that name, whatever its case. Raises InputError, with the known names, if there is none."""
    model = MODELS.get(name.lower())
    if model is None:
        raise InputError(f"unknown model {name!r}.{nearest(name, MODELS)} Known: {', '.join(MODELS)}")
    return model


__getattr__ = names_of(__name__)
