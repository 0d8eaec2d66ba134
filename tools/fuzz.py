"""Give the readers inputs that nobody would write: each must read them, or raise an EmugraphError.

    python -m tools.fuzz --inputs 100000 --json

Hypothesis makes the inputs: sound files with bytes changed, cut, repeated and put in, and arbitrary bytes. An error of
another kind, an input that takes longer than ten seconds, and memory that grows all end the command.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from hypothesis import HealthCheck, Phase, given, seed
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import emugraph
from emugraph.data.triple_files import read_files
from emugraph.datasets.card import read_card
from emugraph.errors import EmugraphError
from emugraph.io.state_dict import State
from emugraph.runs.contents import Checkpoints, read_checkpoint
from emugraph.runs.folder import RunFolder
from emugraph.runs.session import Session
from emugraph.training.settings import Settings
from emugraph.training.trainer import Trainer

ROOT = Path(__file__).parent.parent
SECONDS = 10
GROWTH_MB = 100
_ROUND = 1000

TOKENS = [
    b"\t", b"\n", b"\r\n", b'"', b",", b"\0", b"\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"nan", b"1e999", b"-1", b"[",
    b"]", b"{", b"}", b"[[", b"= ", b"'''", b'"""', b"\\u0000", b"9" * 40, b"9" * 5000, b"[" * 3000, b'{"a":' * 3000,
    b"../", b"2147483648", b"true", b"null", b"1979-05-27", b"format = 1\n", b"F32", b"data_offsets", b"9" * 20,
]  # fmt: skip


@st.composite
def changed(draw: st.DrawFn, sound: list[bytes]) -> bytes:
    """A sound file's content with a few changes, or any bytes."""
    content = draw(st.one_of(st.sampled_from(sound), st.sampled_from(sound), st.sampled_from(sound), st.binary()))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(content)))
        end = draw(st.integers(start, min(len(content), start + 40)))
        put = draw(st.one_of(st.sampled_from(TOKENS), st.binary(max_size=8), st.just(content[start:end] * 2)))
        content = content[:start] + put + content[draw(st.sampled_from((start, end, len(content)))) :]
    return content


Target = tuple[st.SearchStrategy[Any], Callable[[Any], object]]


def targets(folder: Path) -> dict[str, Target]:
    """For each reader what it is given, and how it is called; files are written into ``folder``."""
    return {
        "triples": _triples(folder),
        "card": _card(folder),
        "settings": _settings(folder),
        "run": _run(folder),
    }


def _triples(folder: Path) -> Target:
    sound = ["a\tr\tb\nb\tr\tc\n", "é\t\t \r\n\t\tx\r\n\n\n", '"a",r,"b, c"\n', 'a,"r\n""x""",b\n']

    def read(given: tuple[bytes, str]) -> None:
        content, format = given
        file = folder / "triples"
        file.write_bytes(content)
        read_files(dict.fromkeys(("train", "valid", "test"), file), format)

    contents = changed([text.encode() for text in sound])
    return st.tuples(contents, st.sampled_from(["tsv", "csv"])), read


def _card(folder: Path) -> Target:
    cards = sorted((ROOT / "datasets" / "cards").glob("*.toml"))
    sound = [re.sub(rb"^name = .*$", b'name = "toy"', card.read_bytes(), count=1, flags=re.M) for card in cards]

    def read(content: bytes) -> None:
        file = folder / "toy.toml"
        file.write_bytes(content)
        read_card(file)

    return changed(sound), read


def _settings(folder: Path) -> Target:
    sound = [
        (ROOT / "tests" / "data" / "run-format-3" / "config.toml").read_bytes(),
        b'model = "transe"\ndim = 10\nlearning_rate = 1e-3\n',
        b'sampler = "0.5*khop+0.5*uniform"\nseed = 3\n',
    ]

    def read(content: bytes) -> None:
        file = folder / "settings.toml"
        file.write_bytes(content)
        Settings.read(file)

    return changed(sound), read


def _run(folder: Path) -> Target:
    run = folder / "run"
    shutil.copytree(ROOT / "tests" / "data" / "run-format-3", run)
    files = {path.relative_to(run).as_posix(): path.read_bytes() for path in run.rglob("*") if path.is_file()}
    manifest = files["manifest.json"]
    sound = emugraph.load(run, device="cpu")
    trainer = Trainer(sound.kg, sound.settings, torch.device("cpu"))
    session = Session(trainer, RunFolder.open(run), Checkpoints())

    def read(given: tuple[tuple[str, bytes], bool]) -> None:
        (name, content), lie = given
        try:
            if lie and name != "manifest.json":
                RunFolder.open(run).write(name, lambda path: path.write_bytes(content))
            else:
                (run / name).write_bytes(content)
            emugraph.load(run, device="cpu")
            found = read_checkpoint(RunFolder.open(run))
            if found is not None:
                _restore(session, found[1])
        finally:
            (run / name).write_bytes(files[name])
            (run / "manifest.json").write_bytes(manifest)

    one = st.sampled_from([*sorted(files), *["checkpoints/step-00000020.safetensors"] * 5]).flatmap(
        lambda name: st.tuples(st.just(name), changed([files[name]]))
    )
    return st.tuples(one, st.booleans()), read


def _restore(session: Session, state: State) -> None:
    """As ``emugraph.resume`` does."""
    try:
        session.load(state)
    except ValueError as error:
        raise EmugraphError(str(error)) from error


def fuzz(target: Target, inputs: int, first_seed: int = 0) -> dict[str, Any]:
    """Give a reader so many inputs.

    Returns:
        How many were read and how many refused, the seconds of all and of the slowest, and by how many MB memory grew
        after the first tenth.
    """
    strategy, read = target
    counts = {"inputs": 0, "read": 0, "refused": 0}
    slowest, started, at_first = 0.0, time.monotonic(), 0.0

    def one(given_input: Any) -> None:
        nonlocal slowest
        before = time.monotonic()
        signal.alarm(SECONDS)
        try:
            read(given_input)
            counts["read"] += 1
        except EmugraphError:
            counts["refused"] += 1
        finally:
            signal.alarm(0)
        counts["inputs"] += 1
        slowest = max(slowest, time.monotonic() - before)

    number = 0
    while counts["inputs"] < inputs:
        several = hypothesis_settings(
            max_examples=min(_ROUND, inputs - counts["inputs"]),
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        seed(first_seed + number)(several(given(strategy)(one)))()
        number += 1
        if counts["inputs"] <= max(_ROUND, inputs // 10):
            gc.collect()
            at_first = _memory_mb()
    gc.collect()
    growth = _memory_mb() - at_first
    if growth > GROWTH_MB:
        raise RuntimeError(f"memory grew by {growth:.0f} MB")
    seconds = time.monotonic() - started
    return {**counts, "seconds": round(seconds, 1), "slowest": round(slowest, 3), "growth_mb": round(growth, 1)}


def _memory_mb() -> float:
    """Memory at its highest."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def _too_slow(number: int, frame: FrameType | None) -> None:
    raise TimeoutError(f"an input took longer than {SECONDS} seconds")


def main() -> None:
    """Run as ``python -m tools.fuzz``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=100_000, help="for each reader")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", action="append", help="a reader; may be repeated")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    signal.signal(signal.SIGALRM, _too_slow)
    found = {}
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        for name, target in targets(Path(folder)).items():
            if not arguments.only or name in arguments.only:
                found[name] = fuzz(target, arguments.inputs, arguments.seed)
                print(f"{name}: {found[name]}", file=sys.stderr, flush=True)
    if arguments.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
