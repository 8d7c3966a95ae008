"""The table of plugins: how a name becomes a thing, also from outside, and what is said if not."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from watchkeeper import plugins
from watchkeeper.config.loading import load
from watchkeeper.config.sections import Chosen
from watchkeeper.errors import ConfigError
from watchkeeper.telemetry import Secret

PACKAGE = '''
from pathlib import Path

import msgspec

from watchkeeper.telemetry import Secret


class Inner(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    token: Secret = Secret("")


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    url: Secret | None = None
    folder: Path = Path("none")
    limit: int = 3
    inner: Inner = msgspec.field(default_factory=Inner)


class Kept:
    """A thing from outside."""

    Config = Config

    def __init__(self, config, **ports):
        self.config = config
        self.ports = ports
'''


def install(folder: Path, *points: str) -> None:
    """A package as pip would leave it: its module, and what it announces."""
    (folder / "kept_outside.py").write_text(PACKAGE)
    about = folder / "kept_outside-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: kept-outside\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[watchkeeper.store]\n" + "\n".join(points))


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of packages that this process finds."""
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("kept_outside", None)


@pytest.fixture
def kept(outside: Path) -> str:
    install(outside, "kept = kept_outside:Kept")
    return "kept"


def build(**spec: Any) -> Any:
    return plugins.build("store", {"use": "kept", **spec})


def test_a_package_adds_a_plugin_by_an_entry_point(kept: str) -> None:
    assert plugins.known("store")[kept] == "kept_outside:Kept"
    assert plugins.load("store", kept).__name__ == "Kept"


def test_what_a_package_announces_is_of_its_own_kind_alone(kept: str) -> None:
    assert kept not in plugins.known("bus")


def test_a_package_cannot_take_the_name_of_one_of_ours(outside: Path) -> None:
    install(outside, "memory = kept_outside:Kept")

    assert plugins.load("store", "memory").__module__ == "watchkeeper.store.memory"


def test_a_kind_that_nobody_knows_has_no_plugins() -> None:
    assert plugins.known("no-such-kind") == {}


def test_an_unknown_name_is_answered_with_those_that_there_are(kept: str) -> None:
    with pytest.raises(ConfigError) as refused:
        plugins.load("store", "keptt")

    assert str(refused.value) == (
        "store: no plugin called 'keptt'; known: kept, memory, postgres, sqlite"
    )


def test_a_package_that_is_missing_is_named_with_what_installs_it(outside: Path) -> None:
    install(outside, "far = no_such_driver.store:Far")

    with pytest.raises(ConfigError) as refused:
        plugins.load("store", "far")

    assert str(refused.value) == (
        "store: 'far' needs a package that is not installed (no_such_driver); "
        "install watchkeeper[far]"
    )


def test_knowing_what_there_is_imports_nothing(kept: str) -> None:
    plugins.known("store")

    assert "kept_outside" not in sys.modules


@pytest.mark.parametrize("spec", [{}, {"use": None}, {"use": 3}, {"limit": 3}], ids=str)
def test_a_specification_must_say_which_plugin(spec: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="store: says not which plugin to use"):
        plugins.build("store", spec)


def test_building_leaves_the_specification_as_it_was(kept: str) -> None:
    spec = {"use": kept, "limit": 5}

    first, second = plugins.build("store", spec), plugins.build("store", spec)

    assert spec == {"use": kept, "limit": 5}
    assert first.config == second.config
    assert first is not second


def test_ports_are_handed_on_by_keyword(kept: str) -> None:
    clock, log = object(), object()

    assert plugins.build("store", {"use": kept}, clock=clock, log=log).ports == {
        "clock": clock,
        "log": log,
    }


def test_settings_that_nobody_gave_are_the_defaults(kept: str) -> None:
    config = build().config

    assert (config.url, config.folder, config.limit) == (None, Path("none"), 3)


def test_secrets_and_paths_are_read_from_text_wherever_they_stand(kept: str) -> None:
    config = build(url="redis://u:pw@host", folder="a/b", inner={"token": "t0"}).config

    assert isinstance(config.url, Secret)
    assert config.url.reveal() == "redis://u:pw@host"
    assert config.folder == Path("a/b")
    assert config.inner.token.reveal() == "t0"
    assert "pw" not in repr(config)


def test_settings_that_were_checked_before_come_through_as_they_are(kept: str) -> None:
    """The configuration hands on what it has built: secrets must not become their stars."""
    inner = build(inner={"token": "t0"}).config.inner

    config = build(url=Secret("redis://u:pw@host"), folder=Path("a/b"), inner=inner).config

    assert config.url.reveal() == "redis://u:pw@host"
    assert config.folder == Path("a/b")
    assert config.inner.token.reveal() == "t0"


def test_a_wrong_setting_is_named_with_its_plugin(kept: str) -> None:
    with pytest.raises(ConfigError) as refused:
        build(limit="many")

    assert str(refused.value) == "store kept: Expected `int`, got `str` - at `$.limit`"


def test_an_unknown_setting_is_refused(kept: str) -> None:
    with pytest.raises(ConfigError, match=r"store kept: .*`limits`"):
        build(limits=3)


@pytest.mark.parametrize("value", [90210, 1.5, ["90210"], {"pin": "90210"}], ids=str)
def test_what_was_meant_as_a_secret_is_in_no_message(kept: str, value: Any) -> None:
    with pytest.raises(ConfigError) as refused:
        build(url=value)

    assert str(refused.value) == (
        f"store kept: Expected `Secret`, got `{type(value).__name__}` - at `$.url`"
    )


def test_an_empty_path_is_no_path(kept: str) -> None:
    with pytest.raises(ConfigError, match=r"Expected `Path`, got `str` - at `\$\.folder`"):
        build(folder="")


def test_the_configuration_and_a_specification_give_the_same_settings(
    kept: str, tmp_path: Path
) -> None:
    """There is one way from text to settings, whoever walks it."""
    file = tmp_path / "given.yaml"
    file.write_text(
        "store: {use: kept, url: 'redis://u:pw@host', folder: a, limit: '7', inner: {token: t0}}"
    )

    store = load(file, environment={}).config.store

    built = build(url="redis://u:pw@host", folder="a", limit="7", inner={"token": "t0"})
    assert isinstance(store, Chosen)
    assert msgspec.structs.astuple(store.settings) == msgspec.structs.astuple(built.config)
    assert store.build(clock=1).ports == {"clock": 1}


def test_a_text_of_digits_may_be_a_number_but_a_word_may_not(kept: str) -> None:
    assert build(limit="7").config.limit == 7
    with pytest.raises(msgspec.ValidationError):
        plugins.converted("seven", int)


def test_a_secret_of_a_secret_keeps_its_text() -> None:
    assert Secret(Secret("pw")).reveal() == "pw"
    assert str(Secret(Secret("pw"))) == "***"
