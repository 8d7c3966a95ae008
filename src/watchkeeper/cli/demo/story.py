"""The story: all is well, something is broken, it is told, it is mended, and it is over."""

from __future__ import annotations

import math
from collections import Counter
from typing import Final, NamedTuple

from watchkeeper.cli import words
from watchkeeper.cli.demo import verdict
from watchkeeper.cli.demo.narration import Narrator, card, failure, lasting
from watchkeeper.cli.demo.shop import Shop
from watchkeeper.cli.demo.symptom import expression
from watchkeeper.cli.demo.verdict import Calls, Deed, Sense, Verdict
from watchkeeper.errors import Retryable, WatchkeeperError
from watchkeeper.evaluate.commands_stage import LACKING, Interrupts
from watchkeeper.evaluate.matching import INFO
from watchkeeper.evaluate.records import Found
from watchkeeper.evaluate.scenarios import Scenario
from watchkeeper.evaluate.watch_stage import PAGE, Pace, Watch
from watchkeeper.sdk import Anomaly, Client

HARD: Final = 0.6
"""How hard it is broken, from its least to its most."""
_LOOK_S: Final = 0.5
_AFTER_S: Final = 6.0
"""Behind the first true page: others may come of it a little later, ..."""
_NAMED_S: Final = 15.0
"""... and who is to blame may be among those."""
_OVER_S: Final = 60.0
"""How long what is mended may take to be as usual again."""
_CHECK_S: Final = 2.0
_BEFORE_S: Final = 60.0
"""Of a course, before the fault."""


class NotBroken(WatchkeeperError):
    """It could not be broken, so there is nothing to be found."""


class Parts(NamedTuple):
    """What a story is made of."""

    client: Client
    shop: Shop
    pace: Pace
    interrupts: Interrupts
    narrator: Narrator


class Story:
    """Of one scenario. Whoever tells it keeps `Interrupts.heard` around it."""

    def __init__(self, parts: Parts, scenario: Scenario) -> None:
        self._client, self._shop, self._pace, self._interrupts, self._narrator = parts
        self._scenario = scenario
        self._watch = Watch(self._client, self._pace, lambda _: None)
        low, high = scenario.intensity
        self._intensity = low + HARD * (high - low)
        self._told: set[str] = set()
        self._is_broken = False

    def settle(self, until_s: float) -> None:
        """Look on while all is well."""
        while self._pace.now_s() < until_s:
            self._rest()
        n_paged = len(self._pages)
        said = "nothing paged" if not n_paged else f"{n_paged} paged, although nothing is broken"
        self._narrator.say(f"steady; {said}")

    def tell(self) -> Verdict:
        """Break it, see what is told of it, and mend it, whatever happens."""
        try:
            deed = self._break()
            self._follow(deed)
            self._explain(deed)
        finally:
            self._mend()
        calls = self._calls()
        found = verdict.judge(deed, self._pages, calls)
        first = next((one.page for one in found.findings if one.sense.is_true), None)
        if first is not None:
            self._see_it_end(first)
            found = verdict.judge(deed, self._pages, calls)  # what came meanwhile counts as well
        if not self._narrator.output.as_json:
            course = "" if first is None else self._course(first, deed)
            self._narrator.output.print(card(self._scenario, found, course))
        return found

    def stay(self) -> None:
        """Look on, until somebody interrupts."""
        is_open = {one.id: one for one in self._open_pages()}
        while True:
            self._rest()
            now = {one.id: one for one in self._open_pages()}
            for one in is_open.values():
                if one.id not in now:
                    self._narrator.say(f"over: {_named(one)}", "green")
            is_open = now

    def _break(self) -> Deed:
        say, scenario = self._narrator, self._scenario
        begins = "this is no fault" if scenario.fault_free else "breaking it"
        say.say(f"{begins}: {scenario.says or scenario.name}", "bold yellow")
        command = self._shop.command(scenario, "start", self._intensity)
        began_s = self._pace.now_s()
        self._is_broken = bool(command)
        done = self._shop.perform(command, self._look)
        if done.status == LACKING:
            raise NotBroken(f"{scenario.name}: {done.said}; choose another --scenario")
        if not done.is_well:
            raise NotBroken(f"{scenario.name} could not begin: {done.said or done.status}")
        started_s = self._pace.now_s()
        say.begin(started_s)
        say.say(f"it is done, in {lasting(started_s - began_s)}; seconds count from here")
        return Deed(scenario, began_s, started_s, self._is_felt(started_s))

    def _is_felt(self, started_s: float) -> bool:
        """Ask as users do, until they feel it. Of what is no fault: at its end."""
        until_s = started_s + self._scenario.hold_s
        while self._scenario.fault_free and self._pace.now_s() < until_s:
            self._rest()
        command = self._shop.command(self._scenario, "check", self._intensity)
        while not self._shop.perform(command, self._look).is_well:
            if self._pace.now_s() >= until_s:
                return False
            self._rest(_CHECK_S)
        said = "users feel nothing of it" if self._scenario.fault_free else "users feel it"
        self._narrator.say(said, "yellow")
        return True

    def _follow(self, deed: Deed) -> None:
        """Until what is true was told, and a little longer; or until its time is over."""
        until_s = deed.started_s + self._scenario.hold_s
        calls = self._calls()
        while (now_s := self._pace.now_s()) < until_s:
            found = verdict.judge(deed, self._pages, calls).findings
            true = [one for one in found if one.sense.is_true]
            is_named = any(one.sense is Sense.CULPRIT for one in true)
            if true and now_s - deed.started_s - true[0].took_s >= (
                _AFTER_S if is_named else _NAMED_S
            ):
                return
            self._rest()

    def _explain(self, deed: Deed) -> None:
        """What else there is to see of it."""
        since = [one for one in self._watch.found.values() if one.seen_s >= deed.began_s]
        series = Counter(one.service for one in since if one.severity not in (PAGE, INFO))
        named = ", ".join(f"{n} of {service}" for service, n in series.most_common(4) if service)
        if named:
            self._narrator.say(f"evidence beside it: {named}")
        if self._pages and (trace := self._failure(self._pages[0])):
            self._narrator.say("a trace that failed:")
            self._narrator.add(trace, "")

    def _failure(self, page: Found) -> str:
        try:
            linked = self._client.anomaly_traces(page.id).items
            failed = [one for one in linked if "failed" in one.why]
            if not failed:
                return ""
            longest = max(failed, key=lambda one: len(one.services))
            return failure(self._client.trace(longest.trace_id).spans)
        except Retryable:
            return ""

    def _mend(self) -> None:
        """Twice, if need be; nothing interrupts it."""
        if not self._is_broken:
            return
        command = self._shop.command(self._scenario, "stop", self._intensity)
        with self._interrupts.mending():
            began_s = self._pace.now_s()
            for _ in range(2):
                done = self._shop.perform(command, self._look)
                if done.is_well:
                    break
            self._is_broken = False
        took = lasting(self._pace.now_s() - began_s)
        self._narrator.say(
            f"mended, in {took}" if done.is_well else f"it could not be mended: {done.said}",
            "green" if done.is_well else "red",
        )

    def _see_it_end(self, page: Found) -> None:
        """By what its symptom is measured by: the anomaly itself stays open for some minutes."""
        asked = expression(page)
        if not asked:
            return
        expected = self._client.anomaly(page.id).expected
        until_s = self._pace.now_s() + _OVER_S
        while self._pace.now_s() < until_s:
            value = self._value(asked)
            if _is_within(value, expected.low, expected.high):
                band = words.band(expected.low or None, expected.high)
                told = f"{page.service} is as before: {page.metric} {words.number(value)}"
                self._narrator.say(f"{told}, expected {band}", "green")
                return
            self._rest(_CHECK_S)
        self._narrator.say(f"{page.service} is not as before yet", "yellow")

    def _value(self, asked: str) -> float:
        found = self._client.promql(asked)
        return found[0].points[-1][1] if found and found[0].points else math.nan

    def _course(self, page: Found, deed: Deed) -> str:
        asked = expression(page)
        if not asked:
            return ""
        start_s, end_s = deed.began_s - _BEFORE_S, self._pace.now_s()
        found = self._client.promql_range(asked, start=start_s, end=end_s, step=2)
        return words.sparkline([value for _, value in found[0].points], 72) if found else ""

    def _calls(self) -> Calls:
        """Who asks whom, by what spans told."""
        edges: dict[str, set[str]] = {}
        for one in self._client.promql("sum by (client, server) (edge_duration_seconds_count)"):
            edges.setdefault(one.labels["client"], set()).add(one.labels["server"])
        return {client: frozenset(asked) for client, asked in edges.items()}

    @property
    def _pages(self) -> list[Found]:
        """The first one first."""
        paged = [one for one in self._watch.found.values() if one.paged_s is not None]
        return sorted(paged, key=lambda one: one.paged_s or 0.0)

    def _open_pages(self) -> list[Anomaly]:
        try:
            return [one for one in self._client.anomalies(status="open") if one.severity == PAGE]
        except Retryable:
            return []

    def _look(self) -> None:
        self._watch.look()
        for page in self._pages:
            if page.id not in self._told:
                self._told.add(page.id)
                self._narrator.page(page)

    def _rest(self, seconds: float = _LOOK_S) -> None:
        self._look()
        self._pace.sleep(seconds)


def _named(one: Anomaly) -> str:
    return f"{one.service or one.metric}: {one.labels.get('symptom', one.metric)}"


def _is_within(value: float, low: float | None, high: float | None) -> bool:
    return (low is None or value >= low) and (high is None or value <= high)
