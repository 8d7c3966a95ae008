"""`watchkeeper anomalies`: list them, follow them as they come, say what they were."""

from __future__ import annotations

import argparse

import msgspec
from rich.text import Text

from watchkeeper.cli import connection, numbers, times, words
from watchkeeper.cli.exits import Exit
from watchkeeper.cli.output import Column, Output, harmless, labels_text
from watchkeeper.clock import SystemClock
from watchkeeper.errors import ConfigError
from watchkeeper.sdk import Anomaly, AnomalyTraces, Client, LinkedTrace, Verdict

_LIMIT = 50
_WORDS = ("real", "not_useful", "expected")
_STYLES = {"page": "bold white on red", "evidence": "bold red", "info": "yellow"}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", nargs="?", help="one anomaly, with its evidence")
    parser.add_argument(
        "verdict",
        nargs="*",
        metavar="verdict ID WORD",
        help=f"`verdict ID {'|'.join(_WORDS)}`: say what an anomaly was; without a word: what is "
        "said of it",
    )
    parser.add_argument("--comment", metavar="TEXT", help="with a verdict: why")
    parser.add_argument(
        "--withdraw", action="store_true", help="with `verdict ID`: take back what you said"
    )
    parser.add_argument("--status", choices=("open", "closed"), help="only these")
    parser.add_argument("--service", metavar="NAME", help="only of this service")
    parser.add_argument("--detector", metavar="NAME", help="only by this detector")
    parser.add_argument("--since", metavar="TIME", help="not ended before: 1h (ago), a date ...")
    parser.add_argument("--until", metavar="TIME", help="started before: 1h (ago), a date ...")
    parser.add_argument(
        "--limit", type=numbers.whole(1), metavar="N", help=f"at most so many ({_LIMIT})"
    )
    parser.add_argument("--follow", action="store_true", help="print changes until Ctrl-C")
    parser.add_argument(
        "--after", metavar="POSITION", help="with --follow: resume behind this position"
    )
    connection.arguments(parser)


def run(given: argparse.Namespace) -> int:
    output = Output(as_json=given.json)
    with connection.connect(given) as client:
        if given.follow:
            return _follow(given, client, output)
        if given.id == "verdict":
            return _verdict(given, client, output)
        _refuse_without_verdict(given)
        if given.id is not None:
            return _one(client.anomaly(given.id), client.anomaly_traces(given.id), output)
        return _list(given, client, output)


def _list(given: argparse.Namespace, client: Client, output: Output) -> int:
    now_ns = SystemClock().now_ns()
    limit = given.limit or _LIMIT
    found = list(
        client.anomalies(
            limit=limit,
            status=given.status,
            service=given.service,
            detector=given.detector,
            since=_time(given.since, "--since", now_ns),
            until=_time(given.until, "--until", now_ns),
        )
    )
    if output.as_json:
        output.json({"items": found})
    elif found:
        output.table(_COLUMNS, [_row(anomaly) for anomaly in found])
        if len(found) == limit:
            output.say(f"the newest {limit}; --limit prints more")
    else:
        output.say("no anomalies")
    return Exit.OK


def _verdict(given: argparse.Namespace, client: Client, output: Output) -> int:
    identity, word = (*given.verdict, None, None)[:2]
    if identity is None or len(given.verdict) > 2 or (word is not None and word not in _WORDS):
        raise _unwritten()
    if (given.withdraw and word is not None) or (given.comment is not None and word is None):
        raise _unwritten()
    if given.withdraw:
        found: tuple[Verdict, ...] = (client.withdraw_verdict(identity),)
    elif word is not None:
        found = (client.give_verdict(identity, word, comment=given.comment or ""),)
    else:
        found = client.verdicts(identity)
    if output.as_json:
        output.json({"items": found})
        return Exit.OK
    for one in found:
        output.print(harmless(_said(one)))
    if not found:
        output.say("nobody has said anything of it")
    return Exit.OK


def _said(one: Verdict) -> str:
    comment = f' ("{one.comment}")' if one.comment else ""
    return f"{one.verdict} by {one.by}{comment}: changes {one.changes.says}"


def _refuse_without_verdict(given: argparse.Namespace) -> None:
    """What only a verdict takes would be passed over in silence."""
    if given.verdict or given.withdraw or given.comment is not None:
        raise _unwritten()


def _unwritten() -> ConfigError:
    return ConfigError(
        f"anomalies verdict: write `verdict ID {'|'.join(_WORDS)}`, with --comment TEXT if there "
        "is more to say, or `verdict ID --withdraw`"
    )


def _time(text: str | None, name: str, now_ns: int) -> float | None:
    return None if text is None else times.time_s(text, name, now_ns=now_ns)


def _one(anomaly: Anomaly, linked: AnomalyTraces, output: Output) -> int:
    if output.as_json:
        output.json({**msgspec.to_builtins(anomaly), "traces": msgspec.to_builtins(linked)})
        return Exit.OK
    rows = [(name, harmless(value)) for name, value in explained(anomaly)]
    output.table([Column("anomaly"), Column(anomaly.id, may_shrink=True)], rows)
    if linked.items:
        output.table(_TRACES, [_trace(one) for one in linked.items], title="traces of its time")
    return Exit.OK


_TRACES = (
    Column("why"),
    Column("start (UTC)"),
    Column("span", may_shrink=True),
    Column("took", is_number=True),
    Column("trace"),
)


def _trace(one: LinkedTrace) -> tuple[str | Text, ...]:
    return (
        ", ".join(one.why),
        words.moment(one.span.start),
        harmless(one.span.name),
        words.lasting(one.span.duration_ms / 1000),
        one.trace_id,
    )


def explained(anomaly: Anomaly) -> list[tuple[str, str]]:
    """What there is to say of it, line by line."""
    ended = "still open" if anomaly.ended_at is None else words.moment(anomaly.ended_at)
    if anomaly.gone is not None:
        ended += f", gone: {anomaly.gone}"
    said = ", ".join(f"{name} {words.number(value)}" for name, value in anomaly.evidence.items())
    lines = [
        ("in short", anomaly.explanation),
        ("series", labels_text(anomaly.labels)),
        ("service", anomaly.service),
        ("environment", anomaly.environment),
        ("node", anomaly.node),
        ("owner", anomaly.owner),
        ("started", words.moment(anomaly.started_at)),
        ("peak", words.moment(anomaly.peak_at)),
        ("ended", ended),
        ("value", words.number(anomaly.value)),
        ("expected", words.band(anomaly.expected.low, anomaly.expected.high)),
        ("p-value", f"{anomaly.p_value:.2g}, {words.probability(anomaly.p_value)} "
                    "by the tail of its own history"),
        ("class", anomaly.metric_class),
        ("severity", anomaly.severity),
        ("muted", anomaly.muted),
        ("learning", _learning(anomaly)),
        ("found by", _found_by(anomaly, said)),
    ]  # fmt: skip
    return [(name, text) for name, text in lines if text]


def _learning(anomaly: Anomaly) -> str:
    if not anomaly.learning_s:
        return ""
    return f"for {words.lasting(anomaly.learning_s)} more, from {anomaly.points_learned:,} points"


def _found_by(anomaly: Anomaly, said: str) -> str:
    version = f" {anomaly.detector_version}" if anomaly.detector_version else ""
    tier = f", {anomaly.tier}" if anomaly.tier else ""
    return f"{anomaly.detector}{version}{tier}" + (f" ({said})" if said else "")


def _follow(given: argparse.Namespace, client: Client, output: Output) -> int:
    for name in ("id", "since", "until", "limit"):
        if getattr(given, name) is not None:
            raise ConfigError(
                f"anomalies --follow: prints all that changes from now on; leave out {name}, or "
                "leave out --follow"
            )
    output.say("following; Ctrl-C ends it", "dim")
    for change in client.follow(given.after):
        if change.anomaly is not None and not _chosen(given, change.anomaly):
            continue
        if output.as_json:
            output.json(change)
        elif change.anomaly is None:
            output.say("changes were missed here; `watchkeeper anomalies` lists them", "yellow")
        else:
            output.print(_line(change.anomaly))
    return Exit.OK


def _chosen(given: argparse.Namespace, anomaly: Anomaly) -> bool:
    return (
        given.status in (None, anomaly.status)
        and given.service in (None, anomaly.service)
        and given.detector in (None, anomaly.detector)
    )


def _line(anomaly: Anomaly) -> Text:
    return Text.assemble(
        words.moment(anomaly.peak_at),
        "  ",
        (f"{anomaly.status:<6} {anomaly.severity:<8}", _STYLES.get(anomaly.severity, "")),
        "  ",
        labels_text(anomaly.labels),
        f"  {words.number(anomaly.value)}, expected "
        f"{words.band(anomaly.expected.low, anomaly.expected.high)}, "
        f"p {anomaly.p_value:.2g}",
    )


_COLUMNS = (
    Column("started (UTC)"),
    Column("severity"),
    Column("status"),
    Column("series", may_shrink=True),
    Column("value", is_number=True),
    Column("expected"),
    Column("p-value", is_number=True),
    Column("by"),
    Column("id", may_shrink=True),
)


def _row(anomaly: Anomaly) -> tuple[str | Text, ...]:
    lasted = "open"
    if anomaly.ended_at is not None:
        lasted = words.lasting((anomaly.ended_at - anomaly.started_at).total_seconds())
    return (
        words.moment(anomaly.started_at),
        Text(anomaly.severity, style=_STYLES.get(anomaly.severity, "")),
        lasted,
        labels_text(anomaly.labels),
        words.number(anomaly.value),
        words.band(anomaly.expected.low, anomaly.expected.high),
        f"{anomaly.p_value:.2g}",
        anomaly.detector,
        anomaly.id,
    )
