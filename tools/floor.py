"""Print the oldest versions that setup.cfg allows, as constraints for pip: every ``name>=X`` as ``name==X``.

    python -m tools.floor [--extra test] > floor.txt && pip install -c floor.txt .

A requirement without a lower bound is left to pip.
"""

from __future__ import annotations

import argparse
import configparser
import re
from pathlib import Path

SETUP = Path(__file__).resolve().parents[1] / "setup.cfg"
_REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)(\[[^]]*\])?\s*(?P<bounds>[^;]*?)\s*(?P<marker>;.*)?")


def floor_of(requirement: str) -> str | None:
    """A requirement's constraint, or None where it has no lower bound.

    Raises:
        ValueError: it is no requirement.
    """
    match = _REQUIREMENT.fullmatch(requirement.strip())
    if match is None:
        raise ValueError(f"{requirement!r} is no requirement")
    for bound in match["bounds"].split(","):
        if bound.strip().startswith(">="):
            return f"{match['name']}=={bound.strip()[2:].strip()}{match['marker'] or ''}"
    return None


def floors(setup: str, extras: list[str]) -> list[str]:
    """The constraints of the text of a setup.cfg: of what it always requires, and of some extras."""
    config = configparser.ConfigParser(interpolation=None)
    config.read_string(setup)
    lists = [config["options"]["install_requires"], *(config["options.extras_require"][extra] for extra in extras)]
    lines = (line for text in lists for line in text.splitlines() if line.strip())
    return [floor for floor in map(floor_of, lines) if floor is not None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--extra", action="append", default=[], help="an extra whose requirements count too")
    print(*floors(SETUP.read_text(encoding="utf-8"), parser.parse_args().extra), sep="\n")


if __name__ == "__main__":
    main()
