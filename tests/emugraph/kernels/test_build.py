from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from emugraph import KnowledgeGraph, kernels
from emugraph.kernels import build

needs_compiler = pytest.mark.skipif(not any(map(shutil.which, ("c++", "g++", "clang++"))), reason="no C++ compiler")
SCORE = (
    "import torch; from emugraph import kernels;"
    "print(kernels.pairwise(torch.ones(2, 3), torch.zeros(4, 3), 'l1').sum().item(), kernels.status())"
)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, a process that has loaded nothing yet, and a compiler in a hurry."""
    monkeypatch.setenv("EMUGRAPH_CACHE", str(tmp_path))
    monkeypatch.delenv("EMUGRAPH_KERNELS", raising=False)
    monkeypatch.setattr(build, "_library", None)
    monkeypatch.setattr(build, "FLAGS", tuple("-O0" if flag == "-O3" else flag for flag in build.FLAGS))
    return tmp_path / "kernels"


def again(monkeypatch: pytest.MonkeyPatch) -> build.Library:
    """What a new process would get."""
    monkeypatch.setattr(build, "_library", None)
    return build.library()


def scores_are_right() -> bool:
    return torch.equal(kernels.pairwise(torch.ones(2, 3), torch.zeros(4, 3), "l1"), torch.full((2, 4), -3.0))


@needs_compiler
def test_compiled_once_kept_and_rebuilt_when_damaged(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = kernels.prepare()
    assert seconds is not None
    assert seconds > 0
    assert kernels.prepare() is None
    assert kernels.status().startswith("compiled (")
    assert scores_are_right()
    (file,) = cache.iterdir()
    content = file.read_bytes()

    assert again(monkeypatch).seconds is None

    # The compiler's answer is known by now: compiling again and again would only take time.
    monkeypatch.setattr(build, "_compile", lambda _compiler, _recipe, folder: write(folder / "kernels.so", content))
    for damaged in (content[: len(content) // 2], b"", content.replace(b"emugraph_pairwise", b"emugraph_pairwide")):
        file.unlink()  # the old content is still loaded here
        file.write_bytes(damaged)
        library = again(monkeypatch)
        assert library.handle is not None
        assert library.seconds is not None
        assert [kept.read_bytes() for kept in cache.iterdir()] == [content]


@needs_compiler
def test_said_once_before_it_is_compiled_and_never_again(
    cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    said: list[list[str]] = []

    def refuses_the_first_time(*arguments: object) -> Path:
        said.append([record.getMessage() for record in caplog.records])
        if len(said) == 1:
            raise build.BuildError("not this way")
        return compile_(*arguments)  # type: ignore[arg-type]

    compile_ = build._compile
    monkeypatch.setattr(build, "_compile", refuses_the_first_time)
    assert build.library().handle is not None
    assert said == [[build.NOTICE], [build.NOTICE]]
    assert again(monkeypatch).handle is not None
    assert [record.getMessage() for record in caplog.records] == [build.NOTICE]


def write(file: Path, content: bytes) -> Path:
    file.write_bytes(content)
    return file


@needs_compiler
def test_a_whole_file_that_does_not_load_is_rebuilt(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build.library()
    (file,) = cache.iterdir()
    key = file.stem.rpartition("-")[0]
    garbage = b"not a library"
    file.unlink()
    (cache / f"{key}-{build._digest(garbage)}.so").write_bytes(garbage)
    assert again(monkeypatch).handle is not None
    assert [kept.name for kept in cache.iterdir()] == [file.name]


@needs_compiler
def test_a_cache_that_cannot_be_written_to(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.write_text("a file where the folder should be")
    assert build.library().handle is not None
    assert scores_are_right()


@needs_compiler
def test_a_compiler_without_openmp(cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    compiler = tmp_path / "compiler"
    command = next(filter(None, map(shutil.which, ("c++", "g++", "clang++"))))
    refuse = 'for word; do [ "$word" = -fopenmp ] && exit 1; done'
    compiler.write_text(f'#!/bin/sh\n{refuse}\nexec {command} "$@"\n')
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    assert kernels.status().endswith("one thread)")
    assert scores_are_right()
    assert again(monkeypatch).seconds is None


def test_no_compiler(cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    with caplog.at_level(logging.WARNING, "emugraph"):
        assert kernels.prepare() is None
        assert scores_are_right()
        assert kernels.status() == "PyTorch (no C++ compiler found; install g++ or set CXX)"
    assert len(caplog.records) == 1
    assert "\n" not in caplog.records[0].getMessage()
    assert not cache.exists()


def test_a_compiler_that_fails(cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    compiler = tmp_path / "compiler"
    compiler.write_text('#!/bin/sh\n[ "$1" = --version ] && exit 0\necho "x.cpp:1: error: no" >&2\nexit 1\n')
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    assert kernels.status() == f"PyTorch ({compiler} failed: x.cpp:1: error: no)"
    assert scores_are_right()


def test_a_compiler_that_makes_rubbish(cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    compiler = tmp_path / "compiler"
    compiler.write_text('#!/bin/sh\nfor word; do [ "$last" = -o ] && echo rubbish > "$word"; last=$word; done\n')
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    assert build.library().handle is None
    assert scores_are_right()
    assert not cache.exists()


def test_the_key_tells_processors_and_compilers_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = next(build._recipes("1"))
    key = build._key(["c++"], "1", recipe)
    assert build._key(["c++"], "1", recipe) == key
    assert build._key(["c++"], "2", recipe) != key
    assert build._key(["g++"], "1", recipe) != key
    monkeypatch.setattr(build, "_processor", lambda: "another")
    assert build._key(["c++"], "1", recipe) != key


def test_switched_off(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMUGRAPH_KERNELS", "off")
    monkeypatch.setattr(build, "library", lambda: pytest.fail("compiled although switched off"))
    assert kernels.prepare() is None
    assert scores_are_right()
    assert kernels.status() == "PyTorch (EMUGRAPH_KERNELS=off)"


@needs_compiler
def test_two_processes_at_once(tmp_path: Path) -> None:
    environment = os.environ | {"EMUGRAPH_CACHE": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    environment.pop("EMUGRAPH_KERNELS", None)
    command = [sys.executable, "-c", SCORE]
    both = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for process in both:
        output, complaints = process.communicate(timeout=100)
        assert output.startswith("-24.0 compiled ("), complaints
        assert complaints in (f"{build.NOTICE}\n", "")  # the second may find what the first has made
    later = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100)
    assert later.stdout.startswith("-24.0 compiled (")
    assert later.stderr == ""
    assert [file.suffix for file in (tmp_path / "kernels").iterdir()] in ([".so"], [".so"] * 2)


def test_no_compiler_in_a_process_of_its_own(tmp_path: Path) -> None:
    environment = os.environ | {"EMUGRAPH_CACHE": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path), "PATH": ""}
    environment.pop("CXX", None)
    environment.pop("EMUGRAPH_KERNELS", None)
    done = subprocess.run([sys.executable, "-c", SCORE], env=environment, capture_output=True, text=True, timeout=100)
    assert done.stdout == "-24.0 PyTorch (no C++ compiler found; install g++ or set CXX)\n"
    assert done.stderr.count("\n") == 1


def test_the_command_line_trains_without_a_compiler_and_says_so_once(tmp_path: Path, grid: KnowledgeGraph) -> None:
    grid.to_files(tmp_path / "grid")
    environment = os.environ | {"EMUGRAPH_CACHE": str(tmp_path / "cache"), "PATH": ""}
    environment.pop("CXX", None)
    environment.pop("EMUGRAPH_KERNELS", None)
    command = [sys.executable, "-m", "emugraph", "train", "grid", "--model", "transe", "--steps", "5"]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("using PyTorch, which is slower") == 1
    assert "compiling" not in done.stderr
