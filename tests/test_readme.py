"""The README's Python, run as it stands there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from emugraph.cli.main import main

README = Path(__file__).parents[1] / "README.md"


def example(mark: str, **replaced: str) -> str:
    """The code after a mark, with parts of it replaced, each of which must occur once."""
    text = README.read_text(encoding="utf-8")
    code = text.split(f"<!-- {mark} -->\n```python\n", 1)[1].split("```", 1)[0]
    for old, new in replaced.items():
        assert code.count(old) == 1
        code = code.replace(old, new)
    return code


def commands(mark: str) -> list[list[str]]:
    """The commands after a mark, without ``emugraph`` itself."""
    text = README.read_text(encoding="utf-8").split(f"<!-- {mark} -->\n```sh\n", 1)[1].split("```", 1)[0]
    return [shlex.split(line, comments=True)[1:] for line in text.splitlines()]


@pytest.mark.usefixtures("dgl")
def test_the_walk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Every command of the walk, with fewer steps, and the classifier that uses what came of them."""
    monkeypatch.chdir(tmp_path)
    shown = {}
    for line in commands("walk: commands"):
        steps = "50" if "--no-emu" in line else "500"
        shorter = [steps if word == "3000" else word for word in line]
        monkeypatch.setattr("sys.argv", ["emugraph", *shorter])
        with pytest.raises(SystemExit) as left:
            main()
        shown[line[0]], errors = capsys.readouterr()
        assert not left.value.code, errors
    assert "wolf.n.01" in shown["predict"] or "good.a.01" in shown["predict"]
    assert "like 02084071 (dog.n.01)" in shown["similar"]
    assert "difference" in shown["compare"]
    assert (tmp_path / "report.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    exec(compile(example("walk: nodes"), str(README), "exec"), {})
    right, most_frequent = map(float, re.findall(r"\d\.\d+", capsys.readouterr().out))
    assert right > most_frequent + 0.03


@pytest.mark.filterwarnings("ignore:Dataloader CPU affinity")
@pytest.mark.usefixtures("dgl")
def test_the_dgl_example_learns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On WN18RR itself, with every fourth triple, once."""
    monkeypatch.setenv("EMUGRAPH_CACHE", str(tmp_path))
    shorter = {"range(6)": "range(1)", "torch.arange(n), sampler": "torch.arange(0, n, 4), sampler"}
    code = example("DGL example", **shorter)
    exec(compile(code, str(README), "exec"), {})
    assert float(capsys.readouterr().out) > 0.01  # by chance it would be about .0003
