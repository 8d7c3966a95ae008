"""What all tests share: options, the golden-file check, servers, and hypothesis' settings."""

from __future__ import annotations

import atexit
import gc
import shutil
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from bench.postgres import Cluster, NotInstalled
from watchkeeper import plugins
from watchkeeper.store.base import Store

# Kernels compile on first use, which has nothing to do with the example that was running. Examples
# are the same on every run, so that a failure is somebody's change, and as few as say as much; the
# soak draws new ones, and more.
_SHARED = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("test", derandomize=True, max_examples=30, **_SHARED)
settings.register_profile("soak", **_SHARED)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--golden", action="store_true", help="rewrite testdata/*.want from what the code says now"
    )
    parser.addoption(
        "--soak-s", type=float, default=None, help="how long a soak test runs; also unseals seeds"
    )


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("soak" if config.getoption("--soak-s") else "test")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, Any, Any]:
    """Thousands of tests and modules stay to the end: who looks for garbage need not look at them.
    Looking through them time and again costs a third of collecting and of many a test."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(20_000, 20, 20)  # tests leave little, and end soon
        gc.enable()
        atexit.register(gc.unfreeze)  # so that compiled modules find nothing left over


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None, Any, Any]:
    with _skipped_where_a_server_is_missing():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, Any, Any]:
    with _skipped_where_a_server_is_missing():
        return (yield)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A soak is what is in its folder, and every property with examples that nobody has seen."""
    if config.getoption("--soak-s"):
        items[:] = [
            item
            for item in items
            if "soak" in item.path.parts or item.get_closest_marker("hypothesis")
        ]


@contextmanager
def _skipped_where_a_server_is_missing() -> Iterator[None]:
    try:
        yield
    except NotInstalled as missing:
        pytest.skip(str(missing))


class Golden:
    """Files beside the test: `testdata/<case>.in` goes in, `<case>.want` is to come out."""

    def __init__(self, folder: Path, *, rewrite: bool) -> None:
        self._folder = folder
        self._rewrite = rewrite

    def given(self, case: str) -> bytes:
        return (self._folder / f"{case}.in").read_bytes()

    def check(self, case: str, got: bytes | str) -> None:
        """`got` is what the file says; with --golden the file says what `got` is."""
        path = self._folder / f"{case}.want"
        got_bytes = got.encode() if isinstance(got, str) else got
        if self._rewrite:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(got_bytes)
        elif not path.exists():
            pytest.fail(f"{path} is missing; `make golden` writes it, then review it")
        elif isinstance(got, str):
            assert got == path.read_text(), f"differs from {path}; `make golden` rewrites it"
        else:
            assert got_bytes == path.read_bytes(), f"differs from {path}"


def golden_cases(test_file: str) -> Sequence[str]:
    """The cases that lie beside a test module (pass `__file__`), for parametrize."""
    folder = Path(test_file).parent / "testdata"
    return sorted(str(path.relative_to(folder).with_suffix("")) for path in folder.rglob("*.in"))


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    """The thread of a stage."""
    with ThreadPoolExecutor(1) as one:
        yield one


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    rewrite: bool = request.config.getoption("--golden")
    return Golden(request.path.parent / "testdata", rewrite=rewrite)


@pytest.fixture
def soak_s(request: pytest.FixtureRequest) -> float:
    """How long a soak test is to run."""
    return float(request.config.getoption("--soak-s") or 600.0)


@pytest.fixture(scope="session")
def program() -> Callable[[str], Path]:
    """`program("redis-server")`: where it is; where it is not, the test is skipped."""

    def find(name: str) -> Path:
        found = shutil.which(name)
        if found is None:
            pytest.skip(
                f"{name} is not installed; `make test` as root installs it where apt is, "
                f"or install it yourself (Debian: apt-get install {name})"
            )
        return Path(found)

    return find


@pytest.fixture(scope="session")
def build_store() -> Iterator[Callable[..., Store]]:
    """`build_store("sqlite", folder, record_limit=5)`: a store; of the same folder again, one with
    the same state. The server behind some is started for the first of them."""
    with ExitStack() as stack:

        @cache
        def cluster() -> Cluster:
            return stack.enter_context(Cluster(durable=False))

        def build(name: str, data_dir: Path, **settings: Any) -> Store:
            if name == "postgres":
                return cluster().store(data_dir, durable=False, **settings)
            store: Store = plugins.build("store", {"use": name, **settings}, data_dir=data_dir)
            return store

        yield build


@pytest.fixture
def loudest(monkeypatch: pytest.MonkeyPatch) -> Sequence[Mapping[str, Any]]:
    """The plain watcher of the tests, known by name; as a document names watchers."""
    known = {**plugins.BUILTIN, "watcher": {"loudest": "tests.watching:Loudest"}}
    monkeypatch.setattr(plugins, "BUILTIN", known)
    return [{"use": "loudest"}]
