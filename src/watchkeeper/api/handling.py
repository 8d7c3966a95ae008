"""What people do about incidents: into the log, and read back when it has taken effect."""

from __future__ import annotations

import re
import secrets
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from watchkeeper.analyze import lifecycle
from watchkeeper.analyze.lifecycle import OVER, At, Refusal
from watchkeeper.api.detection import by_of, services_of
from watchkeeper.api.incidents import answered, head_of, to_json, whole
from watchkeeper.api.problems import status_of
from watchkeeper.api.services import Services
from watchkeeper.api.tenants import tenant_of
from watchkeeper.api.times import parse_duration, parse_time
from watchkeeper.errors import BadInput, WatchkeeperError
from watchkeeper.model.handling import (
    Handling,
    IncidentEntry,
    IncidentHead,
    IncidentMembers,
    Verb,
    entry_key,
)
from watchkeeper.model.incident import ComplaintKey, IncidentId
from watchkeeper.model.series import TenantId

router = APIRouter(prefix="/api/v1/incidents", tags=["incidents"])

MAX_AT_ONCE: Final = 500
_ETAG: Final = re.compile(r'(?:W/)?"?(\d{1,12})"?')
_KEY: Final = re.compile(r"[\w.:-]{1,100}", re.ASCII)
_Id = Annotated[str, Field(max_length=100)]
_EXAMPLE: Final[dict[str, Any]] = {"comment": "the bank's disk is full", "expected": 3}


class Doing(BaseModel):
    """What is said with a verb. Each takes `comment` and `expected`."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": _EXAMPLE})

    comment: Annotated[str, Field(max_length=4000)] = ""
    """With `comment`: the comment itself; else why."""
    expected: Annotated[int, Field(ge=0)] | None = None
    """The version that was seen, as If-Match: nothing is done if somebody decided since."""
    assignee: Annotated[str, Field(max_length=200)] = ""
    """With `assign`: whose it is; nobody's without."""
    duration: Annotated[str, Field(max_length=20)] | None = None
    """With `snooze`: so long, such as 30m or 2h."""
    until: Annotated[str, Field(max_length=40)] | None = None
    """With `snooze`: up to this time. Without either it is over."""
    into: _Id | None = None
    """With `merge`: the incident that this one becomes."""
    alerts: Annotated[list[_Id], Field(max_length=1000)] = []
    """With `split` and `unlink`: which, by the ids of the incident's members."""
    at: Annotated[str, Field(max_length=40)] | None = None
    """With `comment`: the time it speaks of, if that is not now."""


class DoingMany(Doing):
    """The same done about several incidents."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {"verb": "acknowledge", "incidents": ["INC-1767607200-1"], "comment": "mine"}
        },
    )

    verb: Verb
    incidents: Annotated[list[_Id], Field(min_length=1, max_length=MAX_AT_ONCE)]


@router.post("/bulk")
async def handle_many(request: Request, doing: DoingMany) -> JSONResponse:
    """One after the other; each says what came of it."""
    hands = _Hands(request)
    results = [await _one_of_many(hands, name, doing) for name in dict.fromkeys(doing.incidents)]
    n_done = sum(result["status"] < 400 for result in results)
    return JSONResponse({"results": results, "done": n_done, "refused": len(results) - n_done})


@router.post(
    "/{incident_id}/{verb}",
    responses={
        409: {"description": "It cannot be done with the incident as it is; the remedy is said."},
        412: {"description": "Somebody decided something since the version that was expected."},
    },
)
async def handle(
    request: Request,
    incident_id: str,
    verb: Verb,
    doing: Doing | None = None,
    if_match: Annotated[
        str | None, Header(description="As `expected`: the ETag of what was read.")
    ] = None,
    idempotency_key: Annotated[
        str | None, Header(description="Of two requests with the same one, one has an effect.")
    ] = None,
) -> JSONResponse:
    """Acknowledge, mitigate, resolve, close, reopen, assign, snooze, comment, merge, split or
    unlink. The answer is the incident as it is then."""
    said = doing or Doing()
    if said.expected is None:
        said = said.model_copy(update={"expected": _version(if_match)})
    head, is_done = await _Hands(request).do(incident_id, verb, said, _key(idempotency_key))
    members = await services_of(request).store.get(IncidentMembers, head.tenant, head.id)
    return answered(whole(head, members), head, 200 if is_done else 202)


async def _one_of_many(hands: _Hands, name: str, doing: DoingMany) -> dict[str, Any]:
    try:
        head, is_done = await hands.do(name, doing.verb, doing, "")
    except WatchkeeperError as error:
        return {"id": name, "status": status_of(error), "detail": str(error), "incident": None}
    return {
        "id": name,
        "status": 200 if is_done else 202,
        "detail": "",
        "incident": to_json(head),
    }


class _Hands:
    """Of who asks."""

    def __init__(self, request: Request) -> None:
        self._services: Services = services_of(request)
        self._tenant: TenantId = tenant_of(request)
        self._by = by_of(request)

    async def do(
        self, incident_id: str, verb: Verb, doing: Doing, key: str
    ) -> tuple[IncidentHead, bool]:
        """The incident as it is then, and whether it has taken effect. Raises BadInput: 404, 409 or
        412."""
        services, tenant = self._services, self._tenant
        head = await head_of(services.store, tenant, incident_id)
        handling = self._handling(head, verb, doing, key)
        if await self._is_done(handling) or _checked(head, handling):
            return head, True
        await self._check_move(head, handling)
        position = await services.deciding.log(handling)
        is_there = await services.incidents_caught_up(position)
        now = await head_of(services.store, tenant, incident_id)
        if not is_there or await self._is_done(handling):
            return now, is_there
        _checked(now, handling)
        raise BadInput(
            f"incident {head.id}: it was changed while you asked to {verb} it; read it, and say it "
            "again if it is still wanted",
            status=409,
        )

    async def _is_done(self, handling: Handling) -> bool:
        key = entry_key(handling.incident, handling.id)
        return await self._services.store.get(IncidentEntry, self._tenant, key) is not None

    def _handling(self, head: IncidentHead, verb: Verb, doing: Doing, key: str) -> Handling:
        if verb is Verb.COMMENT and not doing.comment:
            raise BadInput("comment: says nothing; put what is to be said into `comment`")
        now_ns = self._services.clock.now_ns()
        is_dated = verb is Verb.COMMENT and doing.at is not None
        return Handling(
            id=key or secrets.token_hex(8),
            incident=head.id,
            tenant=self._tenant,
            verb=verb,
            principal=self._by.principal,
            time_ns=parse_time(doing.at or "", "at") if is_dated else now_ns,
            text=doing.comment,
            assignee=doing.assignee,
            until_ns=_until_ns(doing, now_ns) if verb is Verb.SNOOZE else 0,
            into=None if doing.into is None else IncidentId(doing.into),
            complaints=tuple(map(ComplaintKey, doing.alerts)),
            expected=doing.expected,
            request_id=self._by.request_id,
        )

    async def _check_move(self, head: IncidentHead, handling: Handling) -> None:
        store = self._services.store
        if handling.verb is Verb.MERGE:
            if handling.into is None or handling.into == head.id:
                raise BadInput(f"merge: say in `into` which incident {head.id} is to become")
            into = await head_of(store, self._tenant, handling.into)
            if into.status in OVER:
                raise BadInput(
                    f"incident {into.id}: is {into.status}; reopen it before {head.id} becomes it",
                    status=409,
                )
        if handling.verb in (Verb.SPLIT, Verb.UNLINK):
            kept = await store.get(IncidentMembers, self._tenant, head.id)
            there = {one.complaint for one in kept.members} if kept is not None else set()
            _check_alerts(head, handling, there)


def _checked(head: IncidentHead, handling: Handling) -> bool:
    """Whether it is so already. Raises BadInput where it cannot be done."""
    step = lifecycle.handled(head, handling, At(head.position, handling.time_ns))
    if isinstance(step, Refusal):
        raise BadInput(step.why, status=412 if step.is_overtaken else 409)
    return step is None


def _check_alerts(head: IncidentHead, handling: Handling, there: set[ComplaintKey]) -> None:
    verb, wanted = handling.verb, set(handling.complaints)
    strange = sorted(wanted - there)
    if strange:
        raise BadInput(
            f"{verb}: incident {head.id} has no alert '{strange[0][:40]}'; `members` lists them"
        )
    if not wanted:
        raise BadInput(f"{verb}: say in `alerts` which; `members` of the incident lists them")
    if wanted == there:
        raise BadInput(f"{verb}: these are all alerts of {head.id}; leave at least one of them")


def _until_ns(doing: Doing, now_ns: int) -> int:
    if doing.until is not None:
        return parse_time(doing.until, "until")
    return now_ns + parse_duration(doing.duration, "duration") if doing.duration else 0


def _version(if_match: str | None) -> int | None:
    if if_match is None or if_match.strip() == "*":
        return None
    found = _ETAG.fullmatch(if_match.strip())
    if found is None:
        raise BadInput(f"if-match: {if_match[:80]} is no version; send the ETag of what was read")
    return int(found[1])


def _key(given: str | None) -> str:
    if given is None:
        return ""
    if not _KEY.fullmatch(given):
        raise BadInput(
            f"idempotency-key: '{given[:40]}' is none; send up to 100 letters, digits and . : - _"
        )
    return f"k-{given}"
