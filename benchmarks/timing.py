"""Forms of one thing, timed in turn."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Form = tuple[Callable[[], object], int]
"""What is timed, and how many times in a row."""


@dataclass(frozen=True)
class Times:
    """Seconds a call of each form, round by round."""

    seconds: dict[str, list[float]]

    def ratio(self, form: str, other: str, digits: int = 2) -> float:
        """The median of the rounds' ratios of one form over another."""
        pairs = zip(self.seconds[form], self.seconds[other], strict=True)
        return round(statistics.median(x / y for x, y in pairs), digits)

    def milliseconds(self, digits: int = 2) -> dict[str, float]:
        """The median of each form, as ``FORM_ms``."""
        return {f"{form}_ms": round(1000 * statistics.median(values), digits) for form, values in self.seconds.items()}


def interleave(forms: Mapping[str, Form], rounds: int) -> Times:
    """Time forms in turn, round after round, so that a slow machine slows all alike; each is called once before."""
    for call, _ in forms.values():
        call()
    times: dict[str, list[float]] = {form: [] for form in forms}
    for _ in range(rounds):
        for form, (call, count) in forms.items():
            started = time.perf_counter()
            for _ in range(count):
                call()
            times[form].append((time.perf_counter() - started) / count)
    return Times(times)
