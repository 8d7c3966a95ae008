"""The shop of the repository as a process of the demo's own, and the scenarios that break it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Self

import msgspec

import watchkeeper
from watchkeeper.cli.child import Child
from watchkeeper.errors import ConfigError, Permanent
from watchkeeper.evaluate.commands_stage import Done, perform
from watchkeeper.evaluate.scenarios import Scenario, read, words

NEEDED: Final = ("flask", "waitress", "supervisor")
_MODULE: Final = "shop"
_LIST: Final = "scenarios.yaml"
_STORES: Final = (("postgresql", "database", "sqlite"), ("redis", "cache", "memory"))
_OPEN_S: Final = 90.0
_LOOK_S: Final = 0.1
_STOP_ALL: Final = ("-m", "shop.breaks", "stop", "--all", "--home")


class Directory(msgspec.Struct):
    """What there is to know of `shop.json`."""

    pid: int
    gateway: str
    services: dict[str, object]


def found(given: Path | None) -> Path:
    """The folder in which `shop` lies. Raises ConfigError where there is none."""
    places = (Path.cwd(), Path(watchkeeper.__file__).parents[2])
    if given is not None:
        places = (given, given.resolve().parent if given.resolve().name == _MODULE else given)
    for place in places:
        if (place / _MODULE / _LIST).exists():
            return place.resolve()
    raise ConfigError(
        f"no shop in {given or Path.cwd()}; it is a part of the repository, not of the package: "
        "call this in a checkout, or name one with --shop DIR"
    )


def check(needed: Sequence[str] = NEEDED) -> None:
    """Raises ConfigError where the shop cannot run."""
    if lacking := [name for name in needed if find_spec(name) is None]:
        raise ConfigError(
            f"the shop needs {', '.join(lacking)}; install the extra: pip install -e '.[shop]'"
        )


def listed(root: Path) -> tuple[Scenario, ...]:
    """Everything it can be broken by."""
    file = root / _MODULE / _LIST
    return read(file.read_text(), str(file))


def lightest(scenario: Scenario) -> dict[str, str]:
    """Options of a shop that has no server that this scenario does not name: it opens sooner."""
    named = scenario.truth.services
    return {
        option: plain
        for server, option, plain in _STORES
        if not any(server in name for name in named)
    }


class Shop:
    """Leaving the `with` ends it, with whatever it was broken by."""

    def __init__(self, root: Path, home: Path, options: Mapping[str, str]) -> None:
        self._root, self.home = root, home
        self._file = home / "shop.json"
        given = [word for option, value in options.items() for word in (f"--{option}", value)]
        self._child = Child(
            ["-m", _MODULE, "--home", str(home), *given], home.with_suffix(".log"), root
        )

    def wait_until_open(self) -> Directory:
        """Raises Permanent with its last words where it does not open."""
        deadline = time.monotonic() + _OPEN_S
        while time.monotonic() < deadline and not self._child.is_over:
            if self._file.exists():
                return msgspec.json.decode(self._file.read_bytes(), type=Directory)
            time.sleep(_LOOK_S)
        raise Permanent(f"the shop did not open; it said:\n{self._child.last_words}")

    def command(self, scenario: Scenario, verb: str, intensity: float) -> tuple[str, ...]:
        """The words of `start`, `check` or `stop`."""
        return words(getattr(scenario, verb), intensity, str(self.home))

    def perform(self, command: Sequence[str], meanwhile: Callable[[], None]) -> Done:
        return perform(command, meanwhile, folder=self._root)

    def stop(self) -> None:
        """Safe twice."""
        if not self._child.is_over and self._file.exists():
            self.perform((sys.executable, *_STOP_ALL, str(self.home)), lambda: None)
        self._child.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
