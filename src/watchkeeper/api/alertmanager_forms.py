"""Alertmanager's API v2 in its own shapes: version 0.25."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import Request
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field

from watchkeeper.api.alert_matching import checked, takes_nothing
from watchkeeper.api.problems import retry_after, status_of
from watchkeeper.api.times import iso, parse_time
from watchkeeper.clock import NS_PER_S
from watchkeeper.errors import BadInput, Retryable, WatchkeeperError
from watchkeeper.know.silences_stage import Wanted
from watchkeeper.model.series import Matcher, MatchOp
from watchkeeper.model.silence import AlertSilence, AlertState

RECEIVER: Final = "watchkeeper"
"""All alerts come to one."""
_OPEN_NS: Final = 300 * NS_PER_S
"""What has no end is shown to hold so much longer."""
_STATES: Final = ("active", "pending", "expired")
_OPS: Final = {
    (True, False): MatchOp.EQUAL,
    (False, False): MatchOp.NOT_EQUAL,
    (True, True): MatchOp.REGEX,
    (False, True): MatchOp.NOT_REGEX,
}
_FLAGS: Final = {op: flags for flags, op in _OPS.items()}


class AlertmanagerRoute(APIRoute):
    """Answers our errors as Alertmanager answers its own: a JSON string."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        plain = super().get_route_handler()

        async def answered(request: Request) -> Response:
            try:
                return await plain(request)
            except WatchkeeperError as error:
                waits = isinstance(error, Retryable)
                headers = {"retry-after": retry_after(error)} if waits else None  # type: ignore[arg-type]  # it is one
                return JSONResponse(str(error), status_of(error), headers)

        return answered


@dataclass(frozen=True, slots=True)
class Shown:
    """An alert, and the silences over it."""

    state: AlertState
    silenced_by: Sequence[str]

    def form(self, now_ns: int) -> dict[str, Any]:
        alert = self.state.alert
        ends_ns = now_ns + _OPEN_NS if alert.ended_ns is None else alert.ended_ns
        return {
            "annotations": dict(alert.annotations),
            "endsAt": iso(ends_ns),
            "fingerprint": alert.fingerprint,
            "receivers": [{"name": RECEIVER}],
            "startsAt": iso(alert.started_ns),
            "status": {
                "inhibitedBy": [],
                "silencedBy": list(self.silenced_by),
                "state": "suppressed" if self.silenced_by else "active",
            },
            "updatedAt": iso(self.state.heard_ns),
            "generatorURL": alert.links.get("rule", ""),
            "labels": dict(alert.labels),
        }


class PostedMatcher(BaseModel):
    """One of a silence."""

    name: Annotated[str, Field(min_length=1, max_length=1000)]
    value: Annotated[str, Field(max_length=10_000)]
    isRegex: bool  # noqa: N815  # Alertmanager's name
    isEqual: bool = True  # noqa: N815

    def matcher(self) -> Matcher:
        return checked(Matcher(self.name, _OPS[self.isEqual, self.isRegex], self.value))


class PostedSilence(BaseModel):
    """What is wanted."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "matchers": [{"name": "service", "value": "payment", "isRegex": False}],
                "startsAt": "2026-01-05T10:00:00Z",
                "endsAt": "2036-01-05T12:00:00Z",
                "createdBy": "ann",
                "comment": "disks are exchanged",
            }
        }
    )

    matchers: Annotated[list[PostedMatcher], Field(min_length=1, max_length=50)]
    startsAt: str  # noqa: N815
    endsAt: str  # noqa: N815
    createdBy: Annotated[str, Field(max_length=500)]  # noqa: N815
    comment: Annotated[str, Field(max_length=5000)]
    id: str | None = None

    def wanted(self) -> Wanted:
        """Raises BadInput for matchers that take alerts with no label at all."""
        matchers = tuple(one.matcher() for one in self.matchers)
        if all(takes_nothing(one) for one in matchers):
            raise BadInput("at least one matcher must not match the empty string")
        return Wanted(
            id=self.id or "",
            matchers=matchers,
            from_ns=parse_time(self.startsAt, "startsAt"),
            to_ns=parse_time(self.endsAt, "endsAt"),
            author=self.createdBy,
            comment=self.comment,
        )


def silence_form(silence: AlertSilence, now_ns: int) -> dict[str, Any]:
    return {
        "id": silence.id,
        "status": {"state": silence.state(now_ns)},
        "updatedAt": iso(silence.time_ns),
        "comment": silence.comment,
        "createdBy": silence.author,
        "endsAt": iso(silence.to_ns),
        "matchers": [_matcher_form(one) for one in silence.matchers],
        "startsAt": iso(silence.from_ns),
    }


def in_order(silences: Iterable[AlertSilence], now_ns: int) -> list[AlertSilence]:
    """What holds, by its end; then what will, by its beginning; then what did, newest first."""

    def place(one: AlertSilence) -> tuple[int, int, str]:
        state = _STATES.index(one.state(now_ns))
        return state, (one.to_ns, one.from_ns, -one.to_ns)[state], one.id

    return sorted(silences, key=place)


def _matcher_form(matcher: Matcher) -> dict[str, Any]:
    is_equal, is_regex = _FLAGS[matcher.op]
    return {
        "isEqual": is_equal,
        "isRegex": is_regex,
        "name": matcher.name,
        "value": matcher.value,
    }
