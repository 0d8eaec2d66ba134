"""The settings of a training run: typed, checked, and written whole beside the run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from emugraph._renamed import warn
from emugraph.errors import InputError, nearest
from emugraph.io import toml

Positive = Annotated[int, Field(ge=1, lt=2**31)]
Count = Annotated[int, Field(ge=0, lt=2**31)]
PositiveFloat = Annotated[float, Field(gt=0, le=1e6)]
Share = Annotated[float, Field(ge=0, le=1)]


_OLD_NAMES = {"mask_run": "mask_group"}
_OLD_VALUES: dict[str, dict[Any, str]] = {"sides": {"in-turn": "alternating"}}


_BESIDE_SETTINGS = ("format", "dataset", "settings", "checkpoints", "init_from", "measured")
"""What a run's config.toml or a tuned preset has at its top level."""


def with_current_names(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings, some of which may have the names and values of an earlier version, as they are called now.

    Raises:
        InputError: a setting stands there by its old name and by its new one.
    """
    current = {}
    for name, value in values.items():
        new = _OLD_NAMES.get(name, name)
        if new != name and new in values:
            raise InputError(f"{name} is now {new}, and both are there; leave out {name}")
        choices = _OLD_VALUES.get(new, {})
        current[new] = choices.get(value, value) if isinstance(value, str) else value
    return current


class Settings(BaseModel):
    """Everything that decides how a model is trained, besides the data and the device."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    model: str = Field("transe", description="score function: transe, transe-l2, distmult, complex or rotate")
    dim: Positive = Field(100, description="embedding dimension: real numbers, or complex ones for ComplEx and RotatE")
    init_scale: PositiveFloat | None = Field(
        None, description="entity embeddings start uniform in +- this (default: the model's own)"
    )
    reciprocal: bool = Field(
        False, description="reciprocal relations: a second embedding of each relation for queries about the head"
    )

    steps: Positive = Field(20_000, description="training steps, a batch each")
    batch_size: Positive = Field(1000, description="positive triples in a batch")
    negatives: Positive | Literal["all"] = Field(
        256, description="negatives for each positive, or all: every entity (1-vs-all)"
    )
    sampler: str = Field(
        "uniform",
        description="negative sampler: uniform, bernoulli, khop, walk, nscaching or in-batch, or a mixture such as "
        "0.5*khop+0.5*uniform",
    )
    sharing: Literal["shared", "per-positive"] = Field(
        "shared",
        description="one set of negatives for the batch (shared), or one for each positive (per-positive), as khop, "
        "walk, nscaching and mixtures with them always have",
    )
    filtered: bool | None = Field(
        None,
        description="filter training triples out of per-positive negatives (default: for khop and walk)",
    )
    sides: Literal["alternating", "by-relation"] | None = Field(
        None,
        description="which side of a positive is corrupted: alternating (tail, head, tail, ...), or by-relation (at "
        "random, with the relation's own probability; default for bernoulli and nscaching)",
    )
    hops: Positive = Field(2, description="hops of khop, and steps of a random walk of walk")
    walks: Positive = Field(1000, description="random walks from each entity, for walk")
    cache_size: Positive = Field(50, description="entities in each cache of nscaching")
    cache_candidates: Positive = Field(
        50, description="random entities that an update of a cache chooses from, besides those in it"
    )
    cache_update: Literal["importance", "top"] = Field(
        "importance",
        description="how nscaching chooses what stays in a cache: importance (sampled by the softmax of the scores) "
        "or top (the highest scores)",
    )
    cache_every: Positive = Field(1, description="update the caches of nscaching every so many epochs")
    mixing: Literal["emu", "mixup", "none"] = Field(
        "emu", description="how negatives are mixed with the true entity: emu (embedding mutation), mixup or none"
    )
    mutation_rate: Share = Field(
        0.6, description="share of a mutated negative's components that come from the positive"
    )
    mask: Literal["exact", "bernoulli"] = Field(
        "exact",
        description="mutation masks: exact (exactly that share of components) or bernoulli (each component with that "
        "probability)",
    )
    mask_group: Positive = Field(
        16, description="consecutive shared negatives that have one mutation mask; more makes mutation cheaper"
    )
    mixup_a: PositiveFloat = Field(2.0, description="first parameter of MIXUP's Beta distribution")
    mixup_b: PositiveFloat = Field(1.0, description="second parameter of MIXUP's Beta distribution")

    loss: Literal["cross-entropy", "self-adversarial", "margin-ranking", "binary-cross-entropy"] = Field(
        "cross-entropy", description="loss function"
    )
    labels: Literal["unbounded", "smoothed"] = Field(
        "unbounded",
        description="label smoothing with cross entropy: unbounded (Eq. 4: beta for each negative) or smoothed (Eq. "
        "3: beta spread over all classes, which goes with --no-divide-by-negatives)",
    )
    beta: Share = Field(0.5, description="label of a negative in the loss's first term (Eq. 4); 0 for none")
    alpha: Annotated[float, Field(ge=0)] = Field(
        0.1, description="weight of the loss's second term: plain cross entropy over unmixed negatives (Eq. 5)"
    )
    divide_by_negatives: bool = Field(
        True, description="divide the loss's first term by the number of negatives, with cross entropy"
    )
    margin: float = Field(9.0, description="margin of the losses other than cross entropy")
    temperature: Annotated[float, Field(ge=0)] = Field(1.0, description="temperature of the self-adversarial loss")
    regularization: Annotated[float, Field(ge=0)] = Field(0.0, description="regularization weight")
    regularization_power: Annotated[float, Field(ge=1)] = Field(
        3.0, description="power of the norm that is regularized (3: N3)"
    )
    penalty: Literal["embeddings", "query"] = Field(
        "embeddings",
        description="what is regularized: the embeddings of the triple, or query and answer (DURA, with the power 2)",
    )

    optimizer: Literal["adam", "lazy-adam", "adagrad", "row-adagrad"] = Field(
        "adam",
        description="optimizer. lazy-adam: Adam for the rows of a step alone, for millions of entities. row-adagrad: "
        "Adagrad with one number of state a row",
    )
    learning_rate: PositiveFloat = Field(0.01, description="learning rate, at its highest")
    schedule: Literal["constant", "linear"] = Field(
        "linear", description="learning-rate schedule: constant, or linear decay to zero"
    )
    warmup: Count = Field(0, description="learning-rate warm-up, in steps")

    valid_every: Positive = Field(1000, description="steps between validations")
    valid_sample: Positive | None = Field(
        None, description="validate on a fixed random sample of so many triples (default: all)"
    )
    patience: Count = Field(
        0, description="early stopping: end after so many validations without a better MRR (0: never)"
    )
    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(0, description="random seed")

    @model_validator(mode="before")
    @classmethod
    def _old_names_warn(cls, values: Any) -> Any:
        if isinstance(values, Mapping):
            current = with_current_names(values)
            for old, new in _OLD_NAMES.items():
                if old in values:
                    warn(f"the setting {old}", new)
            for name, renamed in _OLD_VALUES.items():
                if isinstance(values.get(name), str) and values[name] in renamed:
                    warn(f"{name} = {values[name]}", f"{name} = {renamed[values[name]]}")
            return current
        return values

    @field_validator("model")
    @classmethod
    def _known_model(cls, value: str) -> str:
        from emugraph.models import (
            model_class,
        )  # here, so that the command line can list settings without torch

        return model_class(value).name

    @model_validator(mode="before")
    @classmethod
    def _sampler_decides(cls, values: Any) -> Any:
        """Take the sampler's own way of sharing where none is given, and refuse what it cannot do."""
        from emugraph.sampling import registry  # here for the same reason

        expression = values.get("sampler", "uniform")
        if not isinstance(expression, str):
            return values
        expression = registry.canonical(expression)
        shared, filtered = registry.shares_by_default(expression), values.get("filtered") in (True, 1, "true")
        if values.get("negatives") == "all":
            conflicting = filtered or values.get("sides") is not None
            if expression != "uniform" or values.get("sharing", "shared") != "shared" or conflicting:
                raise InputError(
                    "negatives = all is every entity for the whole batch: no sampler, sharing, filter, sides"
                )
        elif filtered:
            if values.get("sharing") == "shared":
                raise InputError("only negatives of each positive's own can be filtered: sharing = per-positive")
            shared = False
        if values.get("sharing") == "shared" and not shared:
            raise InputError(f"the sampler {expression} draws for each positive: leave out sharing = shared")
        return {"sharing": "shared" if shared else "per-positive", **values, "sampler": expression}

    @classmethod
    def create(cls, values: Mapping[str, Any], source: str = "settings") -> Settings:
        """Settings from plain values.

        Args:
            values: names and values; what is left out takes its default.
            source: where they come from, for messages.

        Raises:
            InputError: an unknown name (the nearest known one is given), or a value that does not fit.
        """
        try:
            return cls(**values)
        except InputError as error:
            raise InputError(f"{source}: {error}") from error
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0])
            if first["type"] == "extra_forbidden":
                raise InputError(f"{source}: unknown setting {name!r}.{nearest(name, cls.model_fields)}") from error
            wrong = [_lower(other["msg"]) for other in error.errors() if other["loc"][0] == name]  # one a kind of value
            raise InputError(f"{source}: {name} = {first['input']!r}: {', or '.join(wrong)}") from error

    @classmethod
    def read(cls, path: Path) -> dict[str, Any]:
        """The settings in a TOML file, checked, without defaults for those it leaves out.

        They stand alone, or in a table ``[settings]``, as in a tuned preset or a run's config.toml.

        Raises:
            InputError: the file cannot be read, or something in it is no setting or no fitting value.
        """
        values = toml.read(path)
        if "settings" in values:
            cls._check_beside(values, path)
            # A run's settings are complete: what TOML leaves out is None there.
            absent = {name: None for name, field in cls.model_fields.items() if field.default is None}
            values = absent | values["settings"]
        cls.create(values, source=str(path))
        return with_current_names(values)

    @classmethod
    def _check_beside(cls, values: Mapping[str, Any], path: Path) -> None:
        """Raise InputError if a key beside the table of settings is none that a run or a tuned preset has there."""
        if not isinstance(values["settings"], dict):
            raise InputError(f"{path}: settings = {values['settings']!r:.50}: it must be a table")
        for name in values:
            if name in cls.model_fields or name in _OLD_NAMES:
                raise InputError(f"{path}: {name} stands outside the table [settings]; move it there")
            if name not in _BESIDE_SETTINGS:
                raise InputError(f"{path}: unknown key {name!r}.{nearest(name, _BESIDE_SETTINGS)}")

    def to_toml(self) -> dict[str, Any]:
        """Plain values for TOML, which has no null: settings that are None are left out."""
        return self.model_dump(exclude_none=True)


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]
