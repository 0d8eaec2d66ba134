"""The command line as a user meets it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

COMMAND = [sys.executable, "-m", "emugraph.cli.main"]
SMALL = ["--dim", "4", "--steps", "20", "--valid-every", "10", "--batch-size", "16", "--negatives", "8"]


Command = Callable[..., Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data set of one's own, in a folder."""
    path = tmp_path / "mine"
    path.mkdir()
    rows = [f"e{i}\tnext\te{i + 1}\n" for i in range(40)]
    for split, part in (("train", rows), ("valid", rows[5:9]), ("test", rows[20:24])):
        (path / f"{split}.txt").write_text("".join(part), encoding="utf-8")
    return path


def test_train_then_evaluate(folder: Path, tmp_path: Path, emugraph: Command) -> None:
    trained = emugraph("train", folder, "--model", "distmult", "--output", "run", "--json", *SMALL)
    assert trained.returncode == 0, trained.stderr
    result = json.loads(trained.stdout)  # one JSON object and nothing else
    assert result["run"] == "run"
    assert {"mrr", "hits@1", "hits@3", "hits@10"} <= set(result["valid"])
    assert "step 20/20: valid MRR" in trained.stderr
    evaluated = emugraph("evaluate", "run", "--split", "test", "--json")
    metrics = json.loads(evaluated.stdout)
    assert {k: metrics[k] for k in result["test"]} == result["test"]
    assert metrics["dataset"] == "mine"


def test_tables_for_people(folder: Path, tmp_path: Path, emugraph: Command) -> None:
    done = emugraph("train", folder, "-m", "transe", "-o", "run", *SMALL)
    assert "mine, test, filtered, 4 triples" in done.stdout
    assert "both sides" in done.stdout
    shown = emugraph("evaluate", "run", "--raw", "--ties")
    assert "mine, test, raw, 4 triples" in shown.stdout
    assert "pessimistic ties" in shown.stdout


def test_a_folder_of_a_data_sets_name_is_trained_by_the_defaults(folder: Path, emugraph: Command) -> None:
    other = folder.rename(folder.with_name("wn18rr"))
    done = emugraph("train", other, "-o", "run", "--json", *SMALL)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["dataset"] == "wn18rr"
    assert "settings: defaults with changes" in done.stderr


def test_one_file_is_split_with_a_seed(folder: Path, tmp_path: Path, emugraph: Command) -> None:
    done = emugraph("train", folder / "train.txt", "--split", "0.8,0.1,0.1", "-o", "run", "--json", *SMALL)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["dataset"] == "train"


def test_config_file_and_options(folder: Path, tmp_path: Path, emugraph: Command) -> None:
    (tmp_path / "my.toml").write_text('model = "complex"\ndim = 3\nsteps = 5\n', encoding="utf-8")
    done = emugraph("train", folder, "--config", "my.toml", "--dim", "2", "-o", "run")
    assert done.returncode == 0, done.stderr
    config = (tmp_path / "run" / "config.toml").read_text(encoding="utf-8")
    assert 'model = "complex"' in config
    assert "dim = 2" in config
    assert "steps = 5" in config
    again = emugraph("train", folder, "--config", "run/config.toml", "--model", "transe", "-o", "again")
    assert again.returncode == 0, again.stderr
    repeated = (tmp_path / "again" / "config.toml").read_text(encoding="utf-8")
    assert repeated == config.replace('"complex"', '"transe"')


def test_plain_cross_entropy_is_one_option(folder: Path, tmp_path: Path, emugraph: Command) -> None:
    for option, mixing in (("--emu", "emu"), ("--no-emu", "none")):  # the former is the default
        assert emugraph("train", folder, "-m", "distmult", option, "-o", mixing, *SMALL).returncode == 0
        assert f'mixing = "{mixing}"' in (tmp_path / mixing / "config.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "wn18r"], "Did you mean 'wn18rr'"),
        (["train", "wn18rr", "--model", "transee"], "unknown model 'transee'. Did you mean 'transe'"),
        (["train", "mine", "--dim", "0"], "dim = 0: input should be greater than or equal to 1"),
        (["train", "mine", "--dim", "x"], "--dim"),
        (["train", "mine", "--learnin-rate", "1"], "No such option: --learnin-rate"),
        (["train", "mine", "--device", "cuda:99"], "--device cpu"),
        (["train", "mine", "--split", "0.8,0.1,0.1"], "holds its own splits"),
        (["train", "mine/train.txt"], "--split 0.8,0.1,0.1"),
        (["train", "mine/train.txt", "--split", "0.8,0.1"], "0.8,0.1"),
        (["train", "./nowhere"], "nowhere does not exist"),
        (["train", "typo.tsv", "--split", "0.8,0.1,0.1"], "typo.tsv does not exist"),
        (["train", ""], "the data set's name is empty"),
        (["train", "mine", "--dim", "99999999999999999999"], "dim = 99999999999999999999"),
        (["train", "mine", "--seed", "-1"], "seed = -1"),
        (["train", "mine", "--output", "x" * 300], "cannot be a run folder"),
        (["train", "mine", "--output", "mine"], "mine already exists"),
        (["train", "mine", "--config", "no.toml"], "cannot read no.toml"),
        (["train"], "Missing argument"),
        (["evaluate", "mine"], "is not a run folder"),
        (["evaluate", "mine", "--splt", "test"], "No such option"),
        (["trian"], "No such command 'trian'"),
        (["datasets", "show", "fb15k"], "Did you mean 'fb15k-237'"),
        (["train", "mine", "--sampler", "khob"], "Did you mean 'khop'"),
        (["train", "mine", "--sampler", "khop", "--sharing", "shared"], "khop draws for each positive"),
        (["neighbors", "precompute", "wn18r"], "Did you mean 'wn18rr'"),
        (["neighbors", "precompute", "mine", "--hops", "0"], "hops is 0; give 1 to 100"),
        (["neighbors", "precompute", "mine", "--walks", "-1"], "walks is -1"),
        (["neighbors", "precompute", "mine", "--max-memory", "lots"], "'lots' is no amount of memory; give it as 8GB"),
        (
            ["neighbors", "precompute", "mine", "--max-memory", "10"],
            "random walks (neighbors --walks 1000",
        ),
        (["neighbors", "precompute", "mine", "--seed", "-1"], "seed is -1"),
        (["neighbors", "precompute", "mine/train.txt"], "--split 0.8,0.1,0.1"),
        (["neighbors", "show", "mine"], "Missing argument"),
        (["neighbors", "show", "mine", "e77777"], "e77777"),
        (["neighbors", "shw"], "No such command 'shw'"),
    ],
)
def test_mistakes_are_one_sentence_and_exit_code_2(
    arguments: list[str], message: str, folder: Path, tmp_path: Path, emugraph: Command
) -> None:
    done = emugraph(*arguments)
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert message in " ".join(done.stderr.replace("│", " ").split())
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine"]


def test_the_method_on_the_line_wins_over_a_file(folder: Path, tmp_path: Path, emugraph: Command) -> None:
    assert emugraph("train", folder, "-m", "distmult", "--no-emu", "-o", "plain", *SMALL).returncode == 0
    done = emugraph("train", folder, "--emu", "--config", "plain/config.toml", "-o", "mutated")
    assert done.returncode == 0, done.stderr
    config = (tmp_path / "mutated" / "config.toml").read_text(encoding="utf-8")
    assert 'mixing = "emu"' in config
    assert "beta = 0.0" not in config
    assert "no effect" in emugraph("train", folder, "--no-emu", "--mutation-rate", "0.3", "-o", "noted", *SMALL).stderr


def test_yes_and_no_options(folder: Path, tmp_path: Path, emugraph: Command) -> None:
    assert emugraph("train", folder, "--emu", "--no-divide-by-negatives", "-o", "run", *SMALL).returncode == 0
    assert "divide_by_negatives = false" in (tmp_path / "run" / "config.toml").read_text(encoding="utf-8")


def test_a_malformed_line_is_named(folder: Path, tmp_path: Path, emugraph: Command) -> None:
    (folder / "train.txt").write_text("a\tr\tb\na r c\n", encoding="utf-8")
    done = emugraph("train", folder)
    assert done.returncode == 2
    assert "train.txt" in done.stderr
    assert "line 2" in done.stderr
    assert "a r c" in done.stderr


def test_debug_anywhere_on_the_line_shows_the_traceback(tmp_path: Path) -> None:
    for arguments in (["--debug", "evaluate", "nothing"], ["evaluate", "nothing", "--debug"]):
        done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, cwd=tmp_path, timeout=60)
        assert done.returncode != 0
        assert "Traceback" in done.stderr
        assert "InputError" in done.stderr


def test_ctrl_c_keeps_the_best_weights(folder: Path, tmp_path: Path, emugraph: Command) -> None:
    arguments = ["train", str(folder), "-m", "distmult", "-o", "run", *SMALL, "--steps", "10000000"]
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a test in the background ignores it
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "valid MRR" in line:
            break
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 130
    assert re.search(r"stopped after step [\d,]+; run keeps the best weights so far, of step [\d,]+, and a ", rest)
    assert re.search(r"a checkpoint of step [\d,]+ \(go on with: emugraph resume run\)", rest)
    assert emugraph("evaluate", "run").returncode == 0


def test_neighbors(folder: Path, tmp_path: Path, emugraph: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMUGRAPH_CACHE", str(tmp_path / "cache"))
    done = emugraph("neighbors", "precompute", "mine", "--hops", "2", "--json")
    computed = json.loads(done.stdout)
    assert "mine, 2 hops: 158 candidates expected" in done.stderr  # 41 in a row: 4 each, but 3 and 2 at the ends
    assert (computed["entities"], computed["candidates"], computed["most"]) == (41, 158, 4)
    assert Path(computed["where"]).is_dir()
    again = emugraph("neighbors", "precompute", "mine", "--hops", "2")
    assert again.stderr == ""
    assert "mine: 158 candidates of 41 entities, in " in again.stdout
    shown = emugraph("neighbors", "show", "mine", "e7", "--hops", "2")
    assert shown.stdout.split() == ["e5", "e6", "e8", "e9"]
    assert "e7: 4 candidates" in shown.stderr
    few = json.loads(emugraph("neighbors", "show", "mine", "e7", "--hops", "2", "--limit", "1", "--json").stdout)
    assert (few["count"], few["candidates"]) == (4, ["e5"])
    stats = json.loads(emugraph("neighbors", "stats", "mine", "--hops", "1", "--walks", "100", "--json").stdout)
    assert (stats["walks"], stats["candidates"], stats["least"], stats["most"]) == (100, 80, 1, 2)
    assert "median" in emugraph("neighbors", "stats", "mine", "--hops", "2").stdout


def test_another_sampler_than_the_files(
    folder: Path, tmp_path: Path, emugraph: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run's config.toml says that negatives are shared; the sampler on the line decides that anew."""
    monkeypatch.setenv("EMUGRAPH_CACHE", str(tmp_path / "cache"))
    assert emugraph("train", "mine", *SMALL, "--output", "one").returncode == 0
    for number, (options, sharing) in enumerate((
        (["--sampler", "khop"], "per-positive"), (["--filtered"], "per-positive"), ([], "shared"),
    )):  # fmt: skip
        done = emugraph("train", "mine", "--config", "one/config.toml", *options, "--output", f"run{number}")
        assert done.returncode == 0, done.stderr
        assert f'sharing = "{sharing}"' in (tmp_path / f"run{number}" / "config.toml").read_text(encoding="utf-8")
        assert ("mine, 2 hops: 158 candidates expected" in done.stderr) == ("khop" in options)


def test_neighbors_without_a_name_are_wn18rrs(
    tmp_path: Path, emugraph: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMUGRAPH_CACHE", str(tmp_path / "cache"))
    done = json.loads(emugraph("neighbors", "precompute", "--json").stdout)
    assert (done["dataset"], done["hops"], done["candidates"]) == ("wn18rr", 3, 10_911_896)  # as networkx counts them


def test_info_prints_versions_and_folders(tmp_path: Path, emugraph: Command) -> None:
    described = json.loads(emugraph("info", "--json").stdout)
    assert {"emugraph", "python", "torch", "dgl"} <= set(described["versions"])
    assert set(described) == {"versions", "machine", "devices", "folders"}
    assert "versions" in emugraph("info").stdout


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["--version"], ["train", "--nonsense"]])
def test_torch_and_dgl_are_not_loaded_to_answer(arguments: list[str], tmp_path: Path) -> None:
    code = (
        "import sys\nfrom emugraph.cli.main import main\n"
        f"sys.argv = ['emugraph', *{arguments!r}]\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "assert not {'torch', 'dgl', 'numpy'} & set(sys.modules), 'heavy'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "command", ["", "train", "resume", "evaluate", "info", "datasets", "datasets list", "neighbors", "neighbors show"]
)
def test_every_command_has_help(command: str, tmp_path: Path, emugraph: Command) -> None:
    done = emugraph(*command.split(), "--help")
    assert done.returncode == 0
    assert "Usage" in done.stdout


def test_a_full_disk_is_one_sentence(folder: Path, tmp_path: Path) -> None:
    """A file size limit stands in for a full disk: the write fails in the same place."""
    code = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))\n"
        "from emugraph.cli.main import main\n"
        f"sys.argv = ['emugraph', 'train', {str(folder)!r}, '-o', 'run', '--dim', '50', '--steps', '5']\nmain()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.returncode == 1
    assert "cannot write run/" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "run").rglob("*.partial"))


# ---------------------------------------------------------------- runs that are cut off


LONG = [*SMALL, "--steps", "3000", "--valid-every", "100"]


def stopped_run(folder: Path, tmp_path: Path, number: int) -> subprocess.CompletedProcess[str]:
    arguments = ["train", str(folder), "-m", "distmult", "-o", "run", *LONG]
    process = subprocess.Popen(
        [*COMMAND, *arguments], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "valid MRR" in line:
            break
    process.send_signal(number)
    _, rest = process.communicate(timeout=60)
    return subprocess.CompletedProcess(arguments, process.returncode, "", rest)


def test_sigterm_then_resume_to_the_same_metrics(folder: Path, tmp_path: Path, emugraph: Command) -> None:
    stopped = stopped_run(folder, tmp_path, signal.SIGTERM)
    assert stopped.returncode == 143
    assert "go on with: emugraph resume run" in stopped.stderr
    resumed = emugraph("resume", "run", "--json")
    assert resumed.returncode == 0, resumed.stderr
    assert "going on after step" in resumed.stderr
    whole = emugraph("train", "mine", "-m", "distmult", "-o", "whole", *LONG, "--json")
    actual, expected = json.loads(resumed.stdout), json.loads(whole.stdout)
    assert actual["test"] == expected["test"]
    assert (tmp_path / "run" / "weights.safetensors").read_bytes() == (
        tmp_path / "whole" / "weights.safetensors"
    ).read_bytes()


def test_resume_after_kill(folder: Path, tmp_path: Path, emugraph: Command) -> None:
    assert stopped_run(folder, tmp_path, signal.SIGKILL).returncode == -signal.SIGKILL
    assert emugraph("evaluate", "run").returncode == 0
    resumed = emugraph("resume", "run", "--steps", "3100", "--json")
    assert json.loads(resumed.stdout)["steps"] == 3100


def test_mistakes_in_resume(folder: Path, tmp_path: Path, emugraph: Command) -> None:
    assert emugraph("train", "mine", "-o", "run", *SMALL).returncode == 0
    for arguments, words in (
        (["nothing"], "nothing is not a run folder: No such file or directory"),
        (["mine"], "mine is not a run folder: it has no manifest.json"),
        (["run", "--steps", "10"], "run is a run of 20 steps; it can be given more, not 10"),
        (["run", "--device", "gpu"], "unknown device 'gpu'"),
    ):
        done = emugraph("resume", *arguments)
        assert done.returncode == 2, done.stderr
        assert words in done.stderr
    for option, value in (("--checkpoint-minutes", "-1"), ("--checkpoint-steps", "0"), ("--keep-checkpoints", "0")):
        done = emugraph("train", "mine", "-o", "other", *SMALL, option, value)
        assert done.returncode == 2
        assert "checkpoint" in done.stderr
    assert not (tmp_path / "other").exists()
