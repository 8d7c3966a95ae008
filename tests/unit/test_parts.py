"""A process that is less than the whole: what it needs, and what it serves."""

from __future__ import annotations

from pathlib import Path

import pytest

from watchkeeper import cli
from watchkeeper.api.door_table import DOORS
from watchkeeper.api.gateway.table import ROUTES, all_routes
from watchkeeper.cli.exits import Exit
from watchkeeper.config.loading import load
from watchkeeper.errors import ConfigError
from watchkeeper.model.part import EVERY, Part

SHARED = "bus: {use: redis}\nstore: {use: postgres}\n"
REMOTE = "remote: {url: 'http://store:8100'}\n"
SHARE = "share: {url: 'redis://127.0.0.1/1'}\n"
ALWAYS = {"/health", "/metrics", "/openapi.json"}


@pytest.fixture(autouse=True)
def _nothing_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def faults(text: str) -> list[str]:
    """None where it may be started."""
    Path("given.yaml").write_text(text, encoding="utf-8")
    try:
        load(Path("given.yaml"), environment={})
    except ConfigError as error:
        return error.faults
    return []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "parts: [api, detect, ingest, store]",
        f"{SHARED}parts: [store]",
        f"{SHARED}parts: [ingest, store, detect]",
        f"{SHARED}parts: [store, api]",
        f"{SHARED}{REMOTE}parts: [api]",
        f"{SHARED}{SHARE}parts: [store, detect]",
        f"{SHARED}{SHARE}parts: [ingest]",
    ],
)
def test_parts_that_have_what_they_need_may_be_started(text: str) -> None:
    assert faults(text) == []


@pytest.mark.parametrize(
    ("text", "remedies"),
    [
        ("parts: [ingest]", ["bus.use is 'memory'; set it to redis", "set it to postgres"]),
        ("bus: {use: redis}\nparts: [ingest]", ["store.use is 'sqlite'; set it to postgres"]),
        ("store: {use: postgres}\nparts: [ingest]", ["bus.use is 'memory'; set it to redis"]),
        (f"{SHARED}parts: [api]", ["set remote.url"]),
        (f"{SHARED}{SHARE}parts: [store]", ["leave share.url out"]),
        (f"{SHARED}parts: []", ["is empty; name any of ingest, store, detect, api"]),
        (f"{SHARED}parts: [cellar]", ["one of: ingest, store, detect, api"]),
        (f"{SHARED}remote: {{url: store}}\n", ["remote.url"]),
    ],
)
def test_parts_that_lack_something_are_told_all_of_it_with_the_remedy(
    text: str, remedies: list[str]
) -> None:
    found = faults(text)

    assert len(found) == len(remedies)
    for fault, remedy in zip(found, remedies, strict=True):
        assert remedy in fault
        assert "given.yaml" in fault


def test_a_flag_names_the_parts_and_its_faults_name_the_flag(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status = cli.main(["run", "--only", "ingest,detect"])

    said = capsys.readouterr().err
    assert status != Exit.OK
    assert "ingest, detect alone needs a bus between processes" in said
    assert "(flag --only)" in said


def served(*parts: Part) -> set[str]:
    return {path for path, needs in all_routes(parts) if needs}


def test_every_route_is_of_some_part_and_none_is_lost() -> None:
    apart = [served(part) for part in Part]

    assert set.union(*apart) == served(*EVERY) == set(ROUTES) | set(DOORS)


def test_a_process_serves_what_is_its_part_and_what_all_have() -> None:
    assert all(served(part) >= ALWAYS for part in Part)
    assert served(Part.INGEST) >= set(DOORS) | {"/api/v1/sources"}
    assert served(Part.API) >= {"/api/v1/metrics/query", "/api/v1/keys", "/prometheus/api/v1/query"}
    assert "/internal/v1/samples" in served(Part.STORE)
    assert "/api/v1/anomalies" not in served(Part.INGEST, Part.STORE, Part.DETECT)
    assert not served(Part.STORE, Part.DETECT, Part.API) & {"/api/v1/write", "/v1/traces"}


def test_a_path_that_is_a_door_and_a_list_is_shared_out_by_method() -> None:
    door, list_ = (dict(all_routes([part]))["/api/v1/changes"] for part in (Part.INGEST, Part.API))

    assert (set(door), set(list_)) == ({"POST"}, {"GET"})
