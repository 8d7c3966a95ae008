"""The reference is what the code says: generated, committed, and compared here."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs import generate
from tests.architecture.source import ROOT
from watchkeeper import plugins
from watchkeeper.api.door_table import DOORS
from watchkeeper.config import reference

REFERENCE = ROOT / "docs" / "reference"


def page(name: str) -> str:
    return (REFERENCE / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", generate.PAGES)
def test_a_reference_page_says_what_the_code_says(name: str) -> None:
    assert page(name) == generate.PAGES[name](), f"`make docs` rewrites docs/reference/{name}"


def test_every_setting_is_documented_and_says_what_it_means() -> None:
    text = page("configuration.md")
    silent = [key.path for key in reference.describe() if not key.text]
    missing = [key.path for key in reference.describe() if f"`{key.path}`" not in text]

    assert (missing, silent) == ([], [])


def test_every_plugin_is_documented() -> None:
    text = page("plugins.md")
    names = [name for by_name in plugins.BUILTIN.values() for name in by_name]

    assert [name for name in names if f"### `{name}`" not in text] == []


def test_every_command_and_option_is_documented_and_says_what_it_does() -> None:
    text = page("commands.md")
    every = list(generate.each_command(generate.cli.build_parser()))
    silent = [name for name, command in every if not command.description]
    mute = [
        f"{name} {action.dest}"
        for name, command in every
        for action in generate.arguments_of(command)
        if not action.help
    ]

    assert [name for name, _ in every if f"## `{name}`" not in text] == []
    assert (silent, mute) == ([], [])


def test_every_route_is_documented() -> None:
    text = page("api.md")
    served = {f"{method} {path}" for method, path, _ in generate.routes()}

    assert {f"POST {path}" for path in DOORS} <= served
    assert [route for route in served if f"## `{route}`" not in text] == []


def test_every_metric_of_ours_is_documented_and_named_by_the_rule() -> None:
    text = page("metrics.md")
    metrics = generate.own_metrics()

    assert [m.name for m in metrics if f"`{m.name}`" not in text or not m.description] == []
    assert [m.name for m in metrics if m.kind == "counter" and not m.name.endswith("_total")] == []


def test_the_source_registers_every_metric_that_it_counts() -> None:
    """A metric that is made inside a function would be missing from the reference."""
    written = {
        line.split('"')[1]
        for path in Path(generate.watchkeeper.__file__).parent.rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.strip().startswith('"watchkeeper_')
    }

    assert written - {metric.name for metric in generate.own_metrics()} == set()
