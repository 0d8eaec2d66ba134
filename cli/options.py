"""The options that stand for settings, made from the settings themselves."""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic.fields import FieldInfo

from emugraph.training.settings import Settings

CheckpointMinutes = Annotated[float, typer.Option(help="Minutes between checkpoints; 0 for none by the clock.")]
CheckpointSteps = Annotated[
    int | None, typer.Option(help="Also write a checkpoint every so many steps.", show_default=False)
]
KeepCheckpoints = Annotated[int, typer.Option(help="How many checkpoints to keep.")]

Track = Annotated[
    list[str] | None,
    typer.Option("--track", help="Log to tensorboard, mlflow, wandb or csv; may be repeated."),
]

MapTo = Annotated[
    Path | None,
    typer.Option(
        "--map-to",
        help="Memory-map embeddings and optimizer state to files in this folder, if memory is too small for them.",
        show_default=False,
    ),
]

CudaGraphs = Annotated[
    bool,
    typer.Option(
        "--cuda-graphs", help="Replay steps that are recorded once, so that a CUDA device does not wait for the host."
    ),
]

MatmulPrecision = Annotated[
    str | None,
    typer.Option(
        "--matmul-precision",
        help="Of products of float32 matrices, as PyTorch names it: highest; high, TensorFloat32 factors on a CUDA "
        "device; medium, on a CPU bfloat16 factors where it has them. [default: highest]",
        show_default=False,
    ),
]

Force = Annotated[bool, typer.Option("--force", help="Replace a file that exists.")]

SKIPPED = {"model"}  # commands name it themselves


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command an option for each setting; those on the command line reach it as the dict ``changes``.

    The command's parameter ``changes`` is replaced by the options ``--dim``, ``--learning-rate`` and so on.
    """
    signature = inspect.signature(command, eval_str=True)
    fields = {name: field for name, field in Settings.model_fields.items() if name not in SKIPPED}
    own = [p for p in signature.parameters.values() if p.name != "changes"]

    @functools.wraps(command)
    def wrapper(*arguments: Any, **options: Any) -> None:
        changes = {name: options.pop(name) for name in fields}
        command(*arguments, **options, changes={n: v for n, v in changes.items() if v is not None})

    parameters = own + [_parameter(name, field) for name, field in fields.items()]
    wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": None}
    del wrapper.__wrapped__
    return wrapper


def _parameter(name: str, field: FieldInfo) -> inspect.Parameter:
    flag = name.replace("_", "-")
    option = typer.Option(
        f"--{flag}/--no-{flag}" if _plain_type(field.annotation) is bool else f"--{flag}",
        help=_sentence(field),
        show_default=False,
        rich_help_panel="Settings",
    )
    annotation = Annotated[_plain_type(field.annotation) | None, option]  # type: ignore[valid-type]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _sentence(field: FieldInfo) -> str:
    kind = _without_none(field.annotation)
    description = field.description or ""
    names = typing.get_args(kind) if _is_choice(kind) else ()
    choices = "" if all(name in description for name in names) else f": {', '.join(names)}"
    default = "" if field.default is None else f" [default: {field.default}]"
    return f"{description[:1].upper()}{description[1:]}{choices}.{default}"


def _is_choice(annotation: Any) -> bool:
    return typing.get_origin(annotation) is typing.Literal


def _without_none(annotation: Any) -> Any:
    """What an annotation says besides None, where that is one kind."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        kinds = [a for a in typing.get_args(annotation) if a is not type(None)]
        return kinds[0] if len(kinds) == 1 else annotation
    return annotation


def _plain_type(annotation: Any) -> type:
    """The type that the command line parses: bounds and choices are checked where the settings are made."""
    annotation = _without_none(annotation)
    if _is_choice(annotation) or typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return str
    if typing.get_origin(annotation) is Annotated:
        annotation = typing.get_args(annotation)[0]
    return typing.cast(type, annotation)
