"""Old names: they give what the new ones do, and warn once with the new one."""

from __future__ import annotations

import importlib
import warnings

import pytest

import emugraph
from emugraph import _renamed


@pytest.mark.parametrize("old", sorted(_renamed.MODULES))
def test_an_old_module_has_what_the_new_one_has(old: str) -> None:
    module = importlib.import_module(f"emugraph.{old}")
    new = importlib.import_module(f"emugraph.{_renamed.MODULES[old]}")
    public = [
        name
        for name, value in vars(new).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == new.__name__
    ]
    for name in public:
        with pytest.warns(DeprecationWarning, match=f"emugraph.{old}.{name} is now emugraph.{new.__name__[9:]}.{name}"):
            assert getattr(module, name) is getattr(new, name)


@pytest.mark.parametrize(("old", "name"), [(old, name) for old, names in _renamed.NAMES.items() for name in names])
def test_a_name_that_went_elsewhere_is_found(old: str, name: str) -> None:
    module = importlib.import_module(f"emugraph.{old}")
    with pytest.warns(DeprecationWarning, match=f"emugraph.{old}.{name} is now"):
        assert getattr(module, name) is not None


def test_the_warning_points_to_who_uses_the_name() -> None:
    with pytest.warns(DeprecationWarning, match="is now") as caught:
        from emugraph.graph import KnowledgeGraph  # type: ignore[import-not-found]
    assert [warning.filename for warning in caught] == [__file__]
    assert KnowledgeGraph is emugraph.KnowledgeGraph


def test_a_name_that_never_was_is_an_attribute_error_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImportError, match="cannot import name 'nothing'"):
            from emugraph.graph import nothing  # type: ignore[import-not-found]  # noqa: F401
        with pytest.raises(AttributeError, match=r"module 'emugraph\.evaluation' has no attribute 'nothing'"):
            importlib.import_module("emugraph.evaluation").nothing  # noqa: B018
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module("emugraph.never_was")
