"""What every command owes its user."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from emugraph.cli.main import app

WITHOUT_RESULTS = ("report",)
"""Commands that print nothing that a program would read."""


def commands(command: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """All commands that do something, with the words that call them."""
    if hasattr(command, "commands"):
        for name, inner in command.commands.items():
            yield from commands(inner, f"{path} {name}".strip())
    else:
        yield path, command


COMMANDS = dict(commands(typer.main.get_command(app)))


def test_there_are_commands() -> None:
    assert {"train", "evaluate", "predict", "neighbors precompute", "analyze similarity"} <= set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_has_an_example_and_says_what_its_options_do(name: str) -> None:
    command = COMMANDS[name]
    assert f"Example: emugraph {name}" in (command.help or "")
    for parameter in command.params:
        assert getattr(parameter, "help", None), f"{name}: {parameter.name} is not explained"


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in WITHOUT_RESULTS])
def test_each_that_prints_results_prints_json(name: str) -> None:
    assert any("--json" in parameter.opts for parameter in COMMANDS[name].params)


def test_shells_can_complete() -> None:
    assert {"--install-completion", "--show-completion"} <= {
        option for parameter in typer.main.get_command(app).params for option in parameter.opts
    }
