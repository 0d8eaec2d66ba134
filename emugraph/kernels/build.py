"""Compiling the C++ kernels on first use and keeping the library in the user's cache folder.

The library's file name carries a key (sources, compiler, processor, flags) and the SHA-256 of its own content: a file
that was damaged is never loaded, and what was built for another processor is never found.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import logging
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch

from emugraph.errors import EmugraphError
from emugraph.io.atomic import cache_root, replacing

logger = logging.getLogger("emugraph")

SOURCE_NAMES = ("adagrad", "adam", "pairwise", "products", "mixed", "gathered", "softmax", "rank")
SOURCES = tuple(Path(__file__).with_name(f"{name}.cpp") for name in SOURCE_NAMES)
HEADERS = tuple(Path(__file__).with_name(name) for name in ("vectors.h", "terms.h", "pairs.h", "gradients.h"))
# No -ffast-math: a NaN must stay a NaN. Nothing here reads errno or floating-point exception flags.
FLAGS = ("-std=c++17", "-O3", "-fPIC", "-fno-math-errno", "-fno-trapping-math")
# Passes of GCC's that take a third of the time and win nothing on loops that are written out in vectors already.
GCC_FLAGS = ("-fno-ipa-cp-clone", "-fno-split-loops", "-fno-unswitch-loops")
TIMEOUT = 120.0  # seconds for one run of the compiler
NOTICE = "compiling the kernels, once on this machine; it takes a few seconds, or a minute where the machine is busy"


@dataclass(frozen=True)
class Library:
    """The loaded library, or the reason why there is none."""

    handle: ctypes.CDLL | None
    reason: str
    seconds: float | None = None  # spent compiling; None: nothing was compiled
    lanes: int = 1  # of its vectors
    bfloat16: bool = False  # whether the processor multiplies such numbers


@dataclass(frozen=True)
class Recipe:
    """One way to compile and link."""

    compile_flags: tuple[str, ...]
    link_flags: tuple[str, ...]
    words: str  # for status()


class BuildError(EmugraphError):
    """The compiler is missing or refused."""


_lock = threading.Lock()
_library: Library | None = None


def library() -> Library:
    """The library, loaded from the cache or compiled now; tried once in a process.

    Before it compiles, and where it cannot, it logs a warning, which Python prints on standard error by default.
    """
    global _library
    with _lock:
        if _library is None:
            try:
                _library = _build_or_load()
            except (EmugraphError, OSError, subprocess.SubprocessError) as error:
                _library = Library(None, _first_line(str(error)))
                logger.warning(
                    "compiled kernels are not available (%s); using PyTorch, which is slower", _library.reason
                )
        return _library


def loaded() -> bool:
    """Whether the library has been tried already in this process."""
    return _library is not None


def cache_folder() -> Path:
    """Where compiled kernels are kept: ``$EMUGRAPH_CACHE/kernels``, or the user's cache folder."""
    return cache_root() / "kernels"


def _build_or_load() -> Library:
    compiler = _compiler()
    version = _first_line(_run([*compiler, "--version"]))
    folder = cache_folder()
    recipes = {_key(compiler, version, recipe): recipe for recipe in _recipes(version)}
    for key, recipe in recipes.items():
        for file in sorted(folder.glob(f"kernels-{key}-*.so")):
            handle = _load_kept(file)
            if handle is not None:
                return _library_of(handle, f"{version}, {recipe.words}")
    logger.warning(NOTICE)
    refusal = ""
    for key, recipe in recipes.items():
        start = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="emugraph-") as temporary:
            try:
                built = _compile(compiler, recipe, Path(temporary))
                handle = _load(built)  # a loaded library outlives its file
            except (BuildError, OSError) as error:
                refusal = refusal or str(error)
                continue
            _keep(built, folder, key)
        seconds = time.perf_counter() - start
        return _library_of(handle, f"{version}, {recipe.words}", seconds)
    raise BuildError(refusal)


def _library_of(handle: ctypes.CDLL, reason: str, seconds: float | None = None) -> Library:
    return Library(handle, reason, seconds, handle.emugraph_lanes(), bool(handle.emugraph_has_bfloat16()))


def _compiler() -> list[str]:
    """The command of the system's C++ compiler.

    Raises:
        BuildError: there is none.
    """
    named = shlex.split(os.environ.get("CXX", ""))
    for command in (named, ["c++"], ["g++"], ["clang++"]):
        if command and shutil.which(command[0]):
            return command
    raise BuildError("no C++ compiler found; install g++ or set CXX")


def _recipes(version: str) -> Iterator[Recipe]:
    """Ways to compile, the fastest code first."""
    openmp = _torch_openmp()
    always = () if "clang" in version else GCC_FLAGS
    for tuned in ("-march=native", "-mcpu=native", ""):
        tuning = (*always, tuned) if tuned else always
        words = tuned or "no processor-specific code"
        if openmp is not None:
            # Linked by path: with -fopenmp the compiler would also link its own OpenMP, and two of them, each with a
            # pool of threads, would get in each other's way.
            yield Recipe((*tuning, "-fopenmp"), (str(openmp),), f"{words}, torch's OpenMP")
        yield Recipe((*tuning, "-fopenmp"), ("-fopenmp",), f"{words}, OpenMP")
        yield Recipe(tuning, (), f"{words}, one thread")


def _torch_openmp() -> Path | None:
    """The OpenMP runtime that torch brings and has loaded."""
    package = Path(torch.__file__).parent
    libraries = [*package.glob("lib/libgomp*.so*"), *package.parent.glob("torch.libs/libgomp*.so*")]
    return min(libraries, default=None)


def _key(compiler: list[str], version: str, recipe: Recipe) -> str:
    parts = [*compiler, version, *FLAGS, *recipe.compile_flags, *recipe.link_flags, _processor()]
    parts += [source.read_text(encoding="utf-8") for source in (*SOURCES, *HEADERS)]
    return _digest("\0".join(parts).encode())


def _processor() -> str:
    """What -march=native depends on."""
    words = {platform.machine(), platform.processor()}
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() in {"model name", "flags", "Features", "CPU implementer", "CPU part"}:
                words.add(value.strip())
    except OSError:
        pass
    return "\n".join(sorted(words))


def _compile(compiler: list[str], recipe: Recipe, folder: Path) -> Path:
    """Compile the sources one beside the other and link them.

    Raises:
        BuildError: the compiler refuses.
    """
    objects = [folder / f"{source.stem}.o" for source in SOURCES]
    commands = [
        [*compiler, *FLAGS, *recipe.compile_flags, "-c", str(source), "-o", str(target)]
        for source, target in zip(SOURCES, objects, strict=True)
    ]
    with ThreadPoolExecutor() as pool:
        list(pool.map(_run, commands))
    built = folder / "kernels.so"
    # -z defs: an unresolved name is an error here rather than a crash later.
    _run([*compiler, "-shared", "-Wl,-z,defs", "-o", str(built), *map(str, objects), *recipe.link_flags])
    return built


def _run(command: list[str]) -> str:
    """Standard output of a command.

    Raises:
        BuildError: it ends with an error.
    """
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=TIMEOUT, check=False)
    if done.returncode:
        logger.debug("%s\n%s", shlex.join(command), done.stderr)
        wrong = next((line for line in done.stderr.splitlines() if "error" in line), _first_line(done.stderr))
        raise BuildError(f"{command[0]} failed: {wrong}")
    return done.stdout


def _keep(built: Path, folder: Path, key: str) -> None:
    """Put a library that works into the cache; without one it is compiled again next time."""
    content = built.read_bytes()
    try:
        with replacing(folder / f"kernels-{key}-{_digest(content)}.so") as partial:
            partial.write_bytes(content)
    except EmugraphError as error:
        logger.info("compiled kernels are not kept: %s", error)


def _load_kept(file: Path) -> ctypes.CDLL | None:
    """A library from the cache, or None, and the file removed, where it is damaged or does not load."""
    try:
        if _digest(file.read_bytes()) == file.stem.rpartition("-")[2]:
            return _load(file)
    except (BuildError, OSError) as error:
        logger.info("compiling anew: %s", error)
    with contextlib.suppress(OSError):
        file.unlink()
    return None


def _load(file: Path) -> ctypes.CDLL:
    handle = ctypes.CDLL(str(file))
    if handle.emugraph_lanes() < 1:
        raise BuildError(f"{file} does not answer")
    return handle


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:24]


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]
