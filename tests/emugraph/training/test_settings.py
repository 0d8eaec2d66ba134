from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emugraph import InputError, Settings
from emugraph.io import toml
from emugraph.models import MODELS
from emugraph.sampling import SAMPLERS


def test_unknown_names_come_with_the_nearest() -> None:
    with pytest.raises(InputError, match="unknown setting 'lerning_rate'. Did you mean 'learning_rate'"):
        Settings.create({"lerning_rate": 0.1})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("dim", 0, "greater than or equal to 1"),
        ("dim", "many", "valid integer"),
        ("learning_rate", -1, "greater than 0"),
        ("learning_rate", float("nan"), "finite"),
        ("negatives", "evry", "negatives = 'evry': input should be a valid integer"),
        ("negatives", "evry", "or input should be 'all'"),
        ("negatives", 0, "greater than or equal to 1"),
        ("schedule", "cosine", "'constant' or 'linear'"),
        ("sampler", "kop", "unknown sampler 'kop'; known: uniform, bernoulli, khop"),
        ("sampler", "0*khop", "the share of the sampler 'khop' is 0"),
        ("sampler", "9e999*khop", "the share of the sampler 'khop' is inf"),
        ("sampler", "khop+", "names no samplers"),
        ("sampler", 3, "valid string"),
        ("sides", "left", "'alternating' or 'by-relation'"),
        ("sides", ["tail"], "'alternating' or 'by-relation'"),
        ("hops", 0, "greater than or equal to 1"),
        ("model", "transx", "unknown model 'transx'. Did you mean 'transe'"),
    ],
)
def test_values_that_do_not_fit_are_named(name: str, value: object, message: str) -> None:
    with pytest.raises(InputError) as caught:
        Settings.create({name: value})
    assert message in str(caught.value)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_negatives_as_the_command_line_gives_them() -> None:
    assert Settings.create({"negatives": "64"}).negatives == 64
    assert Settings.create({"negatives": "all"}).negatives == "all"


def test_models_and_samplers_are_named_in_their_help() -> None:
    for setting, names in (("model", MODELS), ("sampler", SAMPLERS)):
        description = Settings.model_fields[setting].description or ""
        assert all(name in description for name in names)


def test_sharing_is_the_samplers_own_unless_given() -> None:
    assert Settings.create({}).sharing == "shared"
    assert Settings.create({"sharing": "per-positive"}).sharing == "per-positive"
    assert Settings.create({"filtered": True}).sharing == "per-positive"
    for sampler in ("khop", "walk", "nscaching", "0.5*khop+0.5*uniform"):
        assert Settings.create({"sampler": sampler}).sharing == "per-positive"
    for sampler in ("bernoulli", "in-batch", "2*in-batch + 1*uniform", "UNIFORM"):
        assert Settings.create({"sampler": sampler}).sharing == "shared"


def test_samplers_are_written_one_way() -> None:
    for written, stored in (
        (" Uniform", "uniform"), ("3*KHOP", "khop"), (".50 * khop+ 5e-1*uniform", "0.5*khop+0.5*uniform"),
        ("khop+walk", "1*khop+1*walk"),
    ):  # fmt: skip
        assert Settings.create({"sampler": written}).sampler == stored


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"negatives": "all", "sides": "by-relation"}, "negatives = all is every entity"),
        ({"sampler": "khop", "sharing": "shared"}, "khop draws for each positive"),
        ({"sampler": "0.5*khop+uniform"}, "gives some of its samplers a share; give one to each, or to none"),
        ({"filtered": True, "sharing": "shared"}, "only negatives of each positive's own can be filtered"),
        ({"negatives": "all", "sampler": "khop"}, "negatives = all is every entity"),
        ({"negatives": "all", "filtered": True}, "negatives = all is every entity"),
        ({"negatives": "all", "sharing": "per-positive"}, "negatives = all is every entity"),
    ],
)
def test_sampler_settings_that_do_not_go_together(values: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Settings.create(values)


def test_file_with_a_mistake_is_named(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text("dim = 5\nstpes = 3\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"my\.toml: unknown setting 'stpes'. Did you mean 'steps'"):
        Settings.read(path)
    path.write_text("dim = = 5", encoding="utf-8")
    with pytest.raises(InputError, match=r"my\.toml is not valid TOML: .*line 1"):
        Settings.read(path)
    with pytest.raises(InputError, match="cannot read .*No such file"):
        Settings.read(tmp_path / "nothing.toml")
    path.write_text("dim = 5\n", encoding="utf-8")
    assert Settings.read(path) == {"dim": 5}


def test_what_a_run_left_unset_stays_unset(tmp_path: Path) -> None:
    """TOML has no null; a preset's value must not take the place of one that the run did not have."""
    path = tmp_path / "config.toml"
    path.write_text(toml.dumps({"format": 1, "settings": Settings(dim=5).to_toml()}), encoding="utf-8")
    read = Settings.read(path)
    assert read["init_scale"] is None
    assert Settings.create({"init_scale": 0.3, "valid_sample": 9, **read}) == Settings(dim=5)


@given(
    st.builds(
        Settings,
        model=st.sampled_from(sorted(MODELS)),
        dim=st.integers(1, 1000),
        negatives=st.integers(1, 10_000) | st.just("all"),
        learning_rate=st.floats(1e-6, 10),
        init_scale=st.none() | st.floats(1e-3, 1),
        valid_sample=st.none() | st.integers(1, 100),
        seed=st.integers(0, 2**63 - 1),
    )
)
def test_written_and_read_again_they_are_the_same(settings: Settings) -> None:
    assert Settings.create(toml.loads(toml.dumps(settings.to_toml()), "test")) == settings


@pytest.mark.parametrize(
    "text", ["dim = " + "9" * 5000, "dim = " + "[" * 5000, "dim = {a = " * 3000, "dim = 0000-13-01"]
)
def test_toml_that_breaks_parsers(text: str, tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"my\.toml is not valid TOML"):
        Settings.read(tmp_path / "my.toml")


@pytest.mark.parametrize(
    ("beside", "message"),
    [
        ("dim = 200\n", r"my\.toml: dim stands outside the table \[settings\]; move it there"),
        ("mask_run = 8\n", r"my\.toml: mask_run stands outside the table \[settings\]; move it there"),
        ('datset = "wn18rr"\n', r"my\.toml: unknown key 'datset'\. Did you mean 'dataset'"),
    ],
)
def test_keys_beside_a_table_of_settings_are_not_dropped(tmp_path: Path, beside: str, message: str) -> None:
    path = tmp_path / "my.toml"
    path.write_text(f"{beside}[settings]\nlearning_rate = 0.1\n", encoding="utf-8")
    with pytest.raises(InputError, match=message):
        Settings.read(path)


def test_what_a_run_and_a_tuned_preset_have_beside_their_settings_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text(
        'format = 3\ndataset = "x"\ninit_from = "y"\n[settings]\ndim = 5\n[checkpoints]\nkeep = 2\n[measured]\nx = 1\n',
        encoding="utf-8",
    )
    assert Settings.read(path)["dim"] == 5


def test_a_file_with_an_old_name_reads_as_the_current_one(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text("mask_run = 8\n", encoding="utf-8")
    with pytest.warns(DeprecationWarning, match="mask_run is now mask_group"):
        assert Settings.read(path) == {"mask_group": 8}


def test_settings_that_are_no_table(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text("settings = 5\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"my\.toml: settings = 5: it must be a table"):
        Settings.read(path)
