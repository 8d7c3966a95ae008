"""Who spoke too often, and how objectives stand, over HTTP and through a client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import httpx
import msgspec
import numpy as np
import pytest

from tests import make
from tests.fronts import Api, api
from tests.serving import Known, Play, counted, requests
from watchkeeper.analyze.detect_stage import DetectStage
from watchkeeper.analyze.detection_config import DetectionConfig
from watchkeeper.analyze.watchers.symptoms import Symptoms
from watchkeeper.api import pages
from watchkeeper.errors import Permanent
from watchkeeper.model.anomaly import Severity
from watchkeeper.model.series import Entity
from watchkeeper.sdk import AsyncClient
from watchkeeper.store.memory import MemoryStore

HOUR = 360
NOISY, SLOS = "/api/v1/detection/noisy", "/api/v1/slos"
OTHER = {"x-scope-orgid": "other"}
DOCUMENT: dict[str, Any] = {
    "detectors": [{"use": "basic"}],
    "watchers": [
        {
            "use": "symptoms",
            "budget": {"per_subject_and_day": 1, "rearm_s": 0.0},
            "slos": [
                {"service": "shop", "objective": 99.0},
                {"service": "nobody", "kind": "latency", "threshold_s": 0.25},
            ],
        }
    ],
}


def healthy(hours: float, seed: int) -> Any:
    return counted(round(hours * HOUR), 500.0, 0.001, seed=seed)


@pytest.fixture(scope="module")
def stage() -> Iterator[DetectStage]:
    """A shop that failed twice in two and a half hours, and fails now."""
    with ThreadPoolExecutor(1) as executor:
        catalog = cast(Any, Known(requests("shop")))
        found = DetectStage(
            msgspec.convert(DOCUMENT, DetectionConfig),
            catalog=catalog,
            store=MemoryStore(MemoryStore.Config()),
            executor=executor,
        )
        bad = counted(40, 500.0, 0.3, seed=1)
        told = [healthy(2, 0), bad, healthy(0.5, 2), bad]
        (watcher,) = [one for one in found.tiers.watchers if isinstance(one, Symptoms)]
        Play(watcher).say(np.cumsum(np.concatenate(told), axis=0))
        yield found


@pytest.fixture
async def one(tmp_path: Path, stage: DetectStage) -> AsyncIterator[Api]:
    async with api(tmp_path, detect=stage) as found:
        yield found


def anomalies(n: int, series: str = "ab" * 16, **fields: Any) -> list[Any]:
    """Of one series, an hour after the other, up to now."""
    starts = [make.START_NS - k * 3_600 * make.NS_PER_S for k in range(n)]
    return [
        make.anomaly(id=f"{series[:16]}{k:016x}", series=series, started_ns=at, **fields)
        for k, at in enumerate(starts)
    ]


async def test_a_service_of_which_pages_were_held_back_is_noisy(one: Api) -> None:
    told = await one.get(NOISY)

    (service,) = told["services"]
    assert (service["service"], service["environment"], service["paged"]) == ("shop", "", 1)
    assert service["held_back"] >= 1
    assert service["last_at"].startswith("2023-11-15T02:3")
    assert (told["series"], told["more"], told["complete"]) == ([], False, True)


async def test_a_series_that_speaks_often_is_noisy_and_the_loudest_comes_first(one: Api) -> None:
    quiet = anomalies(2, "aa" * 16)
    often = anomalies(3, "bb" * 16, severity=Severity.INFO)
    most = anomalies(4, "cc" * 16)
    await one.save(*quiet, *often, *most)

    told = (await one.get(NOISY))["series"]

    assert [(each["series"][:2], each["anomalies"], each["evidence"]) for each in told] == [
        ("cc", 4, 4),
        ("bb", 3, 0),
    ]
    assert (told[0]["metric"], told[0]["service"]) == ("latency_seconds", "checkout")
    assert told[0]["last_at"] == "2023-11-14T22:13:20Z"


@pytest.mark.parametrize(
    ("asked", "expected", "more"),
    [
        ({"at_least": "2"}, ["cc", "aa"], False),
        ({"at_least": "4"}, ["cc"], False),
        ({"at_least": "5"}, [], False),
        ({"at_least": "2", "limit": "1"}, ["cc"], True),
    ],
)
async def test_how_often_is_too_often_can_be_said(
    one: Api, asked: dict[str, str], expected: list[str], more: bool
) -> None:
    await one.save(*anomalies(2, "aa" * 16), *anomalies(4, "cc" * 16))

    told = await one.get(NOISY, **asked)

    assert [each["series"][:2] for each in told["series"]] == expected
    assert told["more"] is more


async def test_anomalies_of_services_and_of_the_week_before_make_no_series_noisy(one: Api) -> None:
    before = make.START_NS - 8 * 86_400 * make.NS_PER_S
    old = [make.anomaly(series="dd" * 16, started_ns=before - k) for k in range(5)]
    await one.save(*anomalies(5, "", entity=Entity(service="shop")), *old)

    assert (await one.get(NOISY))["series"] == []


async def test_so_many_anomalies_are_looked_through_and_no_more(
    one: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "PAGE", 2)
    monkeypatch.setattr(pages, "MOST_PAGES", 3)
    await one.save(*anomalies(7))

    told = await one.get(NOISY)

    assert not told["complete"]
    assert [each["anomalies"] for each in told["series"]] == [6]


async def test_an_objective_tells_what_is_left_and_how_fast_it_is_spent(one: Api) -> None:
    told = await one.get(SLOS)

    (item,) = told["items"]
    assert (item["service"], item["objective"]) == ("shop", "availability 99 %")
    assert (item["kind"], item["percent"], item["threshold_s"]) == ("availability", 99.0, None)
    assert item["requests"] == pytest.approx(980 * 500, rel=0.05)
    assert item["bad"] / item["requests"] == pytest.approx(0.0255, rel=0.2)
    assert item["budget_left"] == pytest.approx(1 - item["bad"] / item["requests"] / 0.01)
    assert item["counted_from"] == "2023-11-15T00:00:00Z"
    assert item["counted_to"] > item["counted_from"]


async def test_burn_rates_stand_by_their_windows_with_since_when_they_burn(one: Api) -> None:
    (item,) = (await one.get(SLOS))["items"]

    rates = item["burn_rates"]
    assert [(each["limit"], each["long_minutes"], each["short_minutes"]) for each in rates] == [
        (14.4, 60, 5),
        (6.0, 360, 30),
        (3.0, 1_440, 120),
        (1.0, 4_320, 360),
    ]
    assert [each["pages"] for each in rates] == [True, True, False, False]
    assert item["burning"]
    for each in rates:
        burns = min(each["long"], each["short"]) > each["limit"]
        assert (each["since"] is not None) == burns
    since = [datetime.fromisoformat(each["since"]) for each in rates if each["since"]]
    assert since
    assert all(at < datetime.fromisoformat(item["counted_to"]) for at in since)


async def test_an_objective_of_a_service_that_nobody_heard_waits(one: Api) -> None:
    told = await one.get(SLOS)

    assert told["waiting"] == [
        {
            "service": "nobody",
            "objective": "latency 0.25 s 99.9 %",
            "kind": "latency",
            "percent": 99.9,
            "threshold_s": 0.25,
        }
    ]


async def test_a_tenant_is_told_of_its_own_alone(one: Api) -> None:
    await one.save(*anomalies(4))

    noisy = (await one.http.get(NOISY, headers=OTHER)).json()
    slos = (await one.http.get(SLOS, headers=OTHER)).json()

    assert (noisy["services"], noisy["series"]) == ([], [])
    assert slos["items"] == []
    assert [each["service"] for each in slos["waiting"]] == ["shop", "nobody"]


@pytest.mark.parametrize("path", [NOISY, SLOS])
async def test_a_process_that_does_not_judge_says_who_does(tmp_path: Path, path: str) -> None:
    async with api(tmp_path) as alone:
        answer = await alone.http.get(path)

    assert answer.status_code == 404
    assert "`detect` among its `parts`" in answer.json()["detail"]


@pytest.mark.parametrize("asked", [{"at_least": "0"}, {"limit": "0"}, {"limit": "many"}])
async def test_a_number_out_of_bounds_is_refused(one: Api, asked: dict[str, str]) -> None:
    answer = await one.http.get(NOISY, params=asked)

    assert 400 <= answer.status_code < 500


async def client_of(one: Api) -> AsyncClient:
    transport = httpx.ASGITransport(app=cast(Any, one.front))
    return AsyncClient("http://127.0.0.1", transport=transport)


async def test_a_client_is_told_the_same_as_types(one: Api) -> None:
    await one.save(*anomalies(3))
    client = await client_of(one)

    noisy, quiet, slos = await client.noisy(), await client.noisy(at_least=9), await client.slos()

    await client.close()
    assert (noisy.services[0].service, noisy.services[0].paged) == ("shop", 1)
    assert (noisy.series[0].anomalies, noisy.series[0].labels["service"]) == (3, "checkout")
    assert quiet.series == ()
    (item,) = slos.items
    assert (item.service, item.burning, len(item.burn_rates)) == ("shop", True, 4)
    assert slos.waiting[0].threshold_s == 0.25


async def test_a_client_of_a_process_that_does_not_judge_is_told_why(tmp_path: Path) -> None:
    async with api(tmp_path) as alone:
        client = await client_of(alone)

        with pytest.raises(Permanent, match="does not judge"):
            await client.slos()

        await client.close()


async def test_without_the_watcher_of_symptoms_there_is_nothing_to_tell(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as executor:
        stage = DetectStage(
            DetectionConfig(detectors=[{"use": "basic"}], watchers=[]),
            catalog=cast(Any, Known(requests("shop"))),
            store=MemoryStore(MemoryStore.Config()),
            executor=executor,
        )
        async with api(tmp_path, detect=stage) as bare:
            assert (await bare.get(NOISY))["services"] == []
            assert await bare.get(SLOS) == {"items": [], "waiting": []}
