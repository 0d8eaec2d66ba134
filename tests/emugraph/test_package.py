"""What is installed, and what importing it costs and does."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import emugraph

CHECKOUT = Path(__file__).resolve().parents[2]


def python(code: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run code in a new interpreter, in a home folder of its own whose modules come first."""
    environment = {name: value for name, value in os.environ.items() if name != "DGLBACKEND"} | {"HOME": str(home)}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=home, timeout=120
    )


@pytest.mark.usefixtures("dgl")
def test_import_and_dgl_are_silent_and_leave_the_home_folder_alone(tmp_path: Path) -> None:
    done = python(
        "import emugraph, emugraph._dgl; emugraph.KnowledgeGraph.from_triples([('a', 'r', 'b')]).graph", tmp_path
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


def test_import_loads_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys, emugraph; print([m for m in ('torch', 'dgl', 'numpy', 'pydantic', 'typer') if m in sys.modules])"
    )
    assert python(code, tmp_path).stdout == "[]\n"


def test_opening_and_ranking_load_no_more_than_they_need(tmp_path: Path) -> None:
    code = (
        "import sys, emugraph; emugraph.load, emugraph.evaluate; "
        "print([m for m in ('dgl', 'pandas', 'networkx', 'scipy.stats', 'scipy.optimize') if m in sys.modules])"
    )
    assert python(code, tmp_path).stdout == "[]\n"


def test_every_public_name_is_there() -> None:
    for name in emugraph.__all__:
        assert getattr(emugraph, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        emugraph.nothing  # noqa: B018


def test_works_beside_a_foreign_module_called_datasets(tmp_path: Path) -> None:
    (tmp_path / "datasets.py").write_text("whose = 'hugging face'\n", encoding="utf-8")
    (tmp_path / "cli.py").write_text("whose = 'somebody'\n", encoding="utf-8")
    code = (
        "import datasets, cli, emugraph, emugraph.datasets, emugraph.cli\n"
        "print(datasets.whose, cli.whose, emugraph.datasets.__name__, emugraph.datasets.is_known('wn18rr'))"
    )
    done = python(code, tmp_path)
    assert done.stdout == "hugging face somebody emugraph.datasets True\n", done.stderr


@pytest.mark.parametrize("module", ["emugraph.tests", "emugraph.emugraph", "emugraph.benchmarks", "emugraph.tools"])
def test_what_lies_beside_the_package_is_no_part_of_it(module: str) -> None:
    with pytest.raises(ModuleNotFoundError, match=f"No module named '{module}'"):
        importlib.import_module(module)


def test_a_checkout_works_without_being_installed(tmp_path: Path) -> None:
    for part in ("emugraph", "cli", "datasets"):
        (tmp_path / part).symlink_to(CHECKOUT / part)
    (tmp_path / "setup.cfg").touch()
    code = (
        f"import sys; sys.meta_path = [f for f in sys.meta_path if 'Editable' not in repr(f)]; "
        f"sys.path.insert(0, {str(tmp_path)!r}); import emugraph.datasets, emugraph.cli.main; "
        "print(emugraph.datasets.is_known('wn18rr'))"
    )
    done = python(code, tmp_path)
    assert done.stdout == "True\n", done.stderr


def test_python_m_emugraph_is_the_command(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "emugraph", "--version"], capture_output=True, text=True, cwd=tmp_path, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, f"emugraph {emugraph.__version__}\n"), done.stderr


def test_wheel_holds_one_top_level_package_and_its_data(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for part in ("emugraph", "cli", "datasets"):
        shutil.copytree(CHECKOUT / part, source / part, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for part in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(CHECKOUT / part, source)
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path / "dist"), str(source)],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name.split("/")[0] for name in names} == {"emugraph", f"emugraph-{emugraph.__version__}.dist-info"}
    for part, prefix in (("emugraph", ""), ("cli", "emugraph/"), ("datasets", "emugraph/")):
        files = (file for file in (CHECKOUT / part).rglob("*") if file.is_file() and "__pycache__" not in file.parts)
        missing = {prefix + file.relative_to(CHECKOUT).as_posix() for file in files} - names
        assert missing == set()
