"""The errors that emugraph raises on purpose.

A message says what was wrong, where (file, line, value), and what to do next. The command line prints the message
alone and leaves with the error's ``exit_code``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class EmugraphError(Exception):
    """Something failed that the program could not help: a disk, a network, a damaged file."""

    exit_code = 1


class InputError(EmugraphError):
    """The user gave something that cannot be used: a name, a setting, a file's content."""

    exit_code = 2


class DivergedError(EmugraphError):
    """Training came to numbers that are not finite.

    Args:
        message: what happened and what to do.
        setting: the setting that is most likely to blame.
        step: the step at which it was seen, counted from 1.
    """

    def __init__(self, message: str, *, setting: str, step: int) -> None:
        super().__init__(message)
        self.setting = setting
        self.step = step


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint such as ``" Did you mean 'transe'?"`` for a name that is not among the known ones, or ``""``."""
    by_folded = {k.casefold(): k for k in known}
    close = difflib.get_close_matches(name.casefold(), by_folded, n=3, cutoff=0.5)
    if not close:
        return ""
    return " Did you mean " + " or ".join(repr(by_folded[c]) for c in close) + "?"
