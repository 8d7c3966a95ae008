"""Every plugin of the table exists, is held to its port's contract, and is documented."""

from __future__ import annotations

import msgspec
import pytest

from tests.architecture.source import ROOT
from watchkeeper import plugins

TABLE = [(kind, name) for kind, names in plugins.BUILTIN.items() for name in names]
EVERY = pytest.mark.parametrize(("kind", "name"), TABLE, ids=lambda part: part)


@EVERY
def test_a_plugin_can_be_loaded_and_configured(kind: str, name: str) -> None:
    plugin = plugins.load(kind, name)

    assert issubclass(plugin.Config, msgspec.Struct)
    assert plugin.Config.__struct_config__.frozen
    assert plugin.Config.__struct_config__.forbid_unknown_fields
    assert msgspec.convert({}, plugin.Config) is not None, "defaults alone must do"


@EVERY
def test_class_and_module_say_what_they_are(kind: str, name: str) -> None:
    plugin = plugins.load(kind, name)
    module = __import__(plugin.__module__, fromlist=["_"])

    assert module.__doc__
    assert plugin.__doc__


@pytest.mark.parametrize("kind", plugins.BUILTIN)
def test_a_contract_suite_runs_over_the_whole_table(kind: str) -> None:
    suite = ROOT / "tests" / "contract" / f"test_{kind}.py"

    assert suite.exists(), f"write {suite.relative_to(ROOT)}, parametrised over the table"
    assert f'plugins.BUILTIN["{kind}"]' in suite.read_text(encoding="utf-8")


@EVERY
def test_a_plugin_is_named_in_the_reference(kind: str, name: str) -> None:
    page = ROOT / "docs" / "reference" / "plugins.md"

    assert f"`{name}`" in page.read_text(encoding="utf-8")
