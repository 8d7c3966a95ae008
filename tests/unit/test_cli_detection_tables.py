"""Tables of what people decide about detection, as they are written down; and none steers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Golden
from tests.unit.stub import Reply, Stub, serving
from watchkeeper import cli
from watchkeeper.cli.exits import Exit

AT = "2026-01-05T10:00:00Z"
EVIL = "\x1b[2Jx\x9b31m\u202ey[red]"
SETTINGS = "/api/v1/config/detection"
VERSIONS = f"{SETTINGS}/versions"
NOISY = "/api/v1/detection/noisy"
WINDOWS = "/api/v1/maintenance"
SLOS = "/api/v1/slos"
TEMPLATES = "/api/v1/logs/templates"
ANOMALY = "/api/v1/anomalies/a1"
TRACES = f"{ANOMALY}/traces"
Said = pytest.CaptureFixture[str]


def version(number: int = 3, **fields: Any) -> dict[str, Any]:
    usual = {
        "version": number, "source": "run time", "since": AT, "by": "user:ops",
        "action": "detection.set", "position": 70 + number, "is_in_force": True,
        "document": {"detectors": [], "watchers": [{"use": "symptoms"}]}, "changed": [],
    }  # fmt: skip
    return {**usual, **fields}


def change(path: str, before: Any, after: Any) -> dict[str, Any]:
    return {"path": path, "before": before, "after": after}


def window(**fields: Any) -> dict[str, Any]:
    usual = {
        "id": "m1", "match": {"service": "shop", "env": "prod*"}, "from": AT,
        "to": "2026-01-05T12:00:00Z", "reason": "disks", "holds": True, "by": "user:ops",
    }  # fmt: skip
    return {**usual, **fields}


WEEKLY: dict[str, Any] = {
    "match": {}, "weekly": "sun 02:00-04:00", "time_zone": "Europe/Vienna", "reason": "backup",
    "holds": False,
}  # fmt: skip


def noisy(services: list[Any] | None = None, series: list[Any] | None = None) -> dict[str, Any]:
    return {"since": AT, "services": services or [], "series": series or []}


def noisy_service(name: str = "shop") -> dict[str, Any]:
    return {"service": name, "paged": 6, "held_back": 12, "last_at": AT}


def noisy_series(name: str = "queue_depth", service: str = "cart") -> dict[str, Any]:
    return {
        "series": "ab" * 16, "metric": name, "service": service, "anomalies": 7, "evidence": 4,
        "last_at": AT,
    }  # fmt: skip


def rate(limit: float, long: float, since: str | None = None) -> dict[str, Any]:
    return {
        "limit": limit, "long": long, "short": long, "long_minutes": 60, "short_minutes": 5,
        "since": since,
    }  # fmt: skip


def objective(**fields: Any) -> dict[str, Any]:
    usual = {
        "service": "shop", "objective": "availability 99.9 %", "environment": "prod",
        "requests": 12_345.0, "bad": 5.0, "budget_left": 0.595, "counted_from": AT,
        "counted_to": AT, "burn_rates": [rate(limit, 0.5) for limit in (14.4, 6.0, 3.0, 1.0)],
    }  # fmt: skip
    return {**usual, **fields}


BURNING = objective(
    service="cart", environment="", budget_left=-0.25, burning=True,
    burn_rates=[rate(14.4, 20.0, "2026-01-05T11:30:00Z"), rate(6.0, 8.0, AT), rate(3.0, 3.1),
                rate(1.0, 0.0)],
)  # fmt: skip


def template(**fields: Any) -> dict[str, Any]:
    usual = {
        "id": "00ff", "text": "order <*> was paid by <*>", "lines": 123_456, "service": "shop",
        "first_seen": AT, "last_seen": AT,
    }  # fmt: skip
    return {**usual, **fields}


def anomaly(**fields: Any) -> dict[str, Any]:
    usual = {
        "id": "a1", "tenant": "default", "metric": "latency_s", "series": "ab" * 16,
        "labels": {"__name__": "latency_s", "host": "web-1"},
        "service": "checkout", "environment": "prod", "node": "web-1", "owner": "team-pay",
        "detector": "fk", "severity": "evidence", "status": "open", "started_at": AT,
        "peak_at": "2026-01-05T10:05:00Z", "ended_at": None, "value": 2.5,
        "expected": {"low": 0.1, "high": 0.4}, "p_value": 1e-6, "evidence": {"rest": 4.25},
        "explanation": "latency_s is six times what is usual", "position": 1,
    }  # fmt: skip
    return {**usual, **fields}


def trace(number: int, *why: str, **fields: Any) -> dict[str, Any]:
    span = {"name": "POST /pay", "start": AT, "duration_ms": 1_250.5}
    usual = {
        "trace_id": f"{number:032x}", "root": {"service": "web", "name": "GET /"}, "start": AT,
        "duration_ms": 1_400.0, "n_spans": 9, "n_errors": 1, "services": ["web", "pay"],
        "why": list(why), "span": span,
    }  # fmt: skip
    return {**usual, **fields}


ONE = ("anomalies", "a1")
Routes = dict[str, Any]
NO_TRACES: Routes = {TRACES: {"items": []}}
CASES: dict[str, tuple[tuple[str, ...], Routes]] = {
    "settings at run time": (("detection", "show"), {SETTINGS: version()}),
    "settings of the file": (
        ("detection", "show"), {SETTINGS: version(0, source="file", since=None, by="")},
    ),
    "settings taken back to the file": (
        ("detection", "show"), {SETTINGS: version(4, source="file")},
    ),
    "versions": (
        ("detection", "versions"),
        {VERSIONS: {"items": [
            version(12, by="key:ci", action="maintenance.add"),
            version(3),
            version(0, since=None, by="", action="", position=0),
        ]}},
    ),
    "restored": (
        ("detection", "restore", "2"),
        {f"{VERSIONS}/2/restore": version(4, changed=[
            change("sensitivity", "low", None),
            change("detectors.0.budget", None, 3),
            change("watchers.0.slos", [], [{"service": "shöp"}]),
        ])},
    ),
    "restored to the same": (("detection", "restore", "3"), {f"{VERSIONS}/3/restore": version()}),
    "nobody noisy": (("detection", "noisy"), {NOISY: noisy()}),
    "noisy services": (("detection", "noisy"), {NOISY: noisy([noisy_service()])}),
    "noisy series": (("detection", "noisy"), {NOISY: noisy(None, [noisy_series()])}),
    "noisy both": (
        ("detection", "noisy", "--at-least", "2"),
        {NOISY: noisy([noisy_service(), noisy_service("a")], [noisy_series("m" * 90, "")])},
    ),
    "no windows": (("maintenance", "list"), {WINDOWS: {"items": []}}),
    "windows": (
        ("maintenance", "list", "--over"),
        {WINDOWS: {"items": [window(), window(id="m22", match={}, holds=False), WEEKLY]}},
    ),
    "a window added": (
        ("maintenance", "add", "2h", "--match", "service=shop", "--match", "env=prod*"),
        {WINDOWS: window()},
    ),
    "a window of everything": (("maintenance", "add", "2h"), {WINDOWS: window(match={})}),
    "no objectives": (("slos",), {SLOS: {"items": []}}),
    "objectives": (("slos",), {SLOS: {"items": [objective(), BURNING]}}),
    "objectives that wait": (
        ("slos",),
        {SLOS: {"items": [], "waiting": [{"service": "mail", "objective": "latency 99 %"}]}},
    ),
    "objectives and waiting": (
        ("slos",),
        {SLOS: {"items": [objective()], "waiting": [{"service": "mail", "objective": "x"}]}},
    ),
    "no templates": (("templates",), {TEMPLATES: {"items": []}}),
    "templates": (
        ("templates", "paid", "--service", "shop"),
        {TEMPLATES: {"items": [
            template(), template(id=None, text="others", service="", lines=1, last_seen=None),
        ]}},
    ),
    "more templates": (
        ("templates", "--limit", "1"), {TEMPLATES: {"items": [template()], "more": True}},
    ),
    "an open anomaly": (ONE, {ANOMALY: anomaly(), **NO_TRACES}),
    "a closed anomaly": (
        ONE, {ANOMALY: anomaly(status="closed", ended_at="2026-01-05T10:20:00Z"), **NO_TRACES},
    ),
    "an anomaly of a service": (
        ONE,
        {ANOMALY: anomaly(series="", labels={"service": "checkout", "symptom": "errors"}, node="",
                          owner="", evidence={}, severity="page", detector="symptoms"),
         **NO_TRACES},
    ),
    "an anomaly that learns": (
        ONE,
        {ANOMALY: anomaly(learning_s=5_400.0, points_learned=1_234, muted="maintenance: disks",
                          tier="T2", detector_version=3, **{"class": "latency"}), **NO_TRACES},
    ),
    "an open band": (
        ONE,
        {ANOMALY: anomaly(expected={"low": None, "high": 0.4}, p_value=1.0), **NO_TRACES},
    ),
    "an anomaly with traces": (
        ONE,
        {ANOMALY: anomaly(),
         TRACES: {"items": [trace(1, "failed", "slow"), trace(2, "slow"), trace(3)]}},
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[Stub]:
    with serving({}) as found:
        yield found


@pytest.fixture
def stub(server: Stub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stub:
    server.routes.clear()
    server.asked.clear()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WATCHKEEPER_URL", server.url)
    return server


def ran(said: Said, *argv: str) -> tuple[int, str, str]:
    status = cli.main(argv)
    out, err = said.readouterr()
    return status, out, err


def answering(stub: Stub, routes: Routes) -> None:
    stub.routes.update({path: Reply(body=body) for path, body in routes.items()})


@pytest.mark.parametrize("case", CASES)
def test_people_read_it_as_it_is_written_down(
    case: str, stub: Stub, golden: Golden, capsys: Said
) -> None:
    argv, routes = CASES[case]
    answering(stub, routes)

    status, out, err = ran(capsys, *argv)

    data = "\n".join(line.rstrip() for line in out.splitlines())
    golden.check(
        f"detection_tables/{case.replace(' ', '_')}",
        f"$ watchkeeper {' '.join(argv)}\nstatus {status}\n{' '.join(err.split())}\n\n{data}\n",
    )


@pytest.mark.parametrize("case", CASES)
def test_programs_read_json_and_nothing_else(case: str, stub: Stub, capsys: Said) -> None:
    argv, routes = CASES[case]
    answering(stub, routes)

    status, out, err = ran(capsys, *argv, "--json")

    assert status == Exit.OK
    assert isinstance(json.loads(out), dict)
    assert err == ""


EVIL_CASES: dict[str, tuple[tuple[str, ...], Routes]] = {
    "whose settings": (("detection", "show"), {SETTINGS: version(by=EVIL)}),
    "a document": (("detection", "show"), {SETTINGS: version(document={EVIL: EVIL})}),
    "a version": (
        ("detection", "versions"), {VERSIONS: {"items": [version(by=EVIL, action=EVIL)]}},
    ),
    "a change": (
        ("detection", "restore", "2"),
        {f"{VERSIONS}/2/restore": version(changed=[change(EVIL, EVIL, {EVIL: EVIL})])},
    ),
    "a noisy service": (("detection", "noisy"), {NOISY: noisy([noisy_service(EVIL)])}),
    "a noisy series": (("detection", "noisy"), {NOISY: noisy(None, [noisy_series(EVIL, EVIL)])}),
    "a window": (
        ("maintenance", "list"),
        {WINDOWS: {"items": [window(match={"service": EVIL}, reason=EVIL, by=EVIL)]}},
    ),
    "a window added": (("maintenance", "add", "1h"), {WINDOWS: window(match={EVIL: EVIL})}),
    "an objective": (
        ("slos",), {SLOS: {"items": [objective(service=EVIL, environment=EVIL, objective=EVIL)]}},
    ),
    "an objective that waits": (
        ("slos",), {SLOS: {"items": [], "waiting": [{"service": EVIL, "objective": EVIL}]}},
    ),
    "a template": (
        ("templates",), {TEMPLATES: {"items": [template(text=EVIL, service=EVIL)]}},
    ),
    "an anomaly": (
        ONE,
        {ANOMALY: anomaly(labels={"__name__": "x", "a": EVIL}, service=EVIL, environment=EVIL,
                          node=EVIL, owner=EVIL, explanation=EVIL, muted=EVIL), **NO_TRACES},
    ),
    "evidence": (ONE, {ANOMALY: anomaly(evidence={EVIL: 1.0}), **NO_TRACES}),
    "a span": (
        ONE,
        {ANOMALY: anomaly(),
         TRACES: {"items": [trace(1, "slow", span={"name": EVIL, "start": AT,
                                                   "duration_ms": 1.0})]}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", EVIL_CASES)
def test_what_a_sender_says_does_not_steer_the_terminal(
    case: str, stub: Stub, capsys: Said
) -> None:
    argv, routes = EVIL_CASES[case]
    answering(stub, routes)

    status, out, err = ran(capsys, *argv)

    assert status == Exit.OK
    assert all(sign.isprintable() or sign == "\n" for sign in out + err)


@pytest.mark.parametrize("text", [EVIL, "shöp", "\U000e0001", "a\nb", '"', "\\"])
def test_a_document_is_shown_as_json_that_says_the_same(
    text: str, stub: Stub, capsys: Said
) -> None:
    answering(stub, {SETTINGS: version(document={"a": text, text: [text]})})

    _, out, _ = ran(capsys, "detection", "show")

    assert json.loads(out) == {"a": text, text: [text]}


REFUSED = {
    "a version that is no number": ("detection", "show", "--version", "x"),
    "a version before the first": ("detection", "show", "--version", "-1"),
    "none to restore": ("detection", "restore"),
    "noisy for nothing": ("detection", "noisy", "--at-least", "0"),
    "no verb": ("detection",),
    "a verb that is none": ("maintenance", "begin"),
    "no duration": ("maintenance", "add"),
    "no window": ("maintenance", "end"),
    "no templates": ("templates", "--limit", "0"),
    "an abbreviation": ("detection", "restore", "2", "--expect", "1"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_meant_is_refused_before_a_server_is_asked(
    case: str, stub: Stub, capsys: Said
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(REFUSED[case])

    assert ended.value.code == Exit.USAGE
    assert stub.asked == []
    assert capsys.readouterr().err


@pytest.mark.parametrize("pair", ["shop", "=shop", "=", ""])
def test_a_match_names_a_label(pair: str, stub: Stub, capsys: Said) -> None:
    status, _, err = ran(capsys, "maintenance", "add", "1h", "--match", pair)

    assert status != Exit.OK
    assert f"'{pair}' names no label" in " ".join(err.split())
    assert stub.asked == []


@pytest.mark.parametrize(
    ("argv", "asked"),
    [
        (("detection", "noisy"), {"at_least": "3"}),
        (("detection", "noisy", "--at-least", "9"), {"at_least": "9"}),
        (("maintenance", "list"), {}),
        (("maintenance", "list", "--over"), {"over": "true"}),
        (("templates",), {"limit": "50"}),
        (("templates", "a b&c", "--service", "s/1", "--limit", "7"),
         {"limit": "7", "service": "s/1", "text": "a b&c"}),
    ],
)  # fmt: skip
def test_flags_are_what_the_server_is_asked(
    argv: tuple[str, ...], asked: dict[str, str], stub: Stub, capsys: Said
) -> None:
    answering(stub, {NOISY: noisy(), WINDOWS: {"items": []}, TEMPLATES: {"items": []}})

    status, _, _ = ran(capsys, *argv)

    assert status == Exit.OK
    assert asked.items() <= stub.asked[0].params.items()


@pytest.mark.parametrize(
    ("given", "label", "value"),
    [("a=b=c", "a", "b=c"), ("service=sh*p", "service", "sh*p"), ("x= y ", "x", " y ")],
)
def test_a_match_is_split_at_its_first_sign(
    given: str, label: str, value: str, stub: Stub, capsys: Said
) -> None:
    answering(stub, {WINDOWS: window()})

    ran(capsys, "maintenance", "add", "1h", "--match", given)

    assert json.loads(stub.asked[0].body)["match"] == {label: value}


@pytest.mark.parametrize("verb", [("detection", "show"), ("maintenance", "list"), ("slos",),
                                  ("templates",), ("detection", "noisy"), ONE])  # fmt: skip
def test_a_refusal_of_the_server_is_told_in_its_words(
    verb: tuple[str, ...], stub: Stub, capsys: Said
) -> None:
    problem = Reply(403, {"title": "Forbidden", "detail": "this key may not read that"})
    for path in (SETTINGS, WINDOWS, SLOS, TEMPLATES, NOISY, ANOMALY):
        stub.routes[path] = problem

    status, out, err = ran(capsys, *verb)

    assert status not in (Exit.OK, Exit.USAGE)
    assert "this key may not read that" in " ".join(err.split())
    assert out == ""
