"""What GitHub and GitLab tell a webhook of: deployments, releases, and what was pushed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Final

import msgspec
import xxhash
from msgspec import Raw

from watchkeeper.errors import BadInput
from watchkeeper.ingest.receivers.base import Noun
from watchkeeper.ingest.receivers.changes import DEPLOYMENT, Told, gather
from watchkeeper.ingest.receivers.content import Inflater
from watchkeeper.ingest.receivers.json_items import Time, read_items
from watchkeeper.ingest.receivers.json_places import text_at, time_at
from watchkeeper.ingest.receivers.limits import RowLimits
from watchkeeper.model.signal import WireRows


@dataclass(frozen=True, slots=True, kw_only=True)
class _Places:
    """Where an event has what; see `json_places`."""

    kind: str
    service: str
    id: str
    version: str
    time: str
    actor: str
    status: str = ""
    environment: str = ""
    summary: str = ""


_GITHUB: Final[Mapping[str, _Places]] = {
    "deployment_status": _Places(
        kind=DEPLOYMENT,
        service="repository.name",
        id="deployment.id",
        version="deployment.sha",
        time="deployment_status.updated_at",
        actor="deployment.creator.login",
        status="deployment_status.state",
        environment="deployment.environment",
        summary="deployment.description",
    ),
    "release": _Places(
        kind="release",
        service="repository.name",
        id="release.id",
        version="release.tag_name",
        time="release.published_at",
        actor="release.author.login",
        status="action",
        summary="release.name",
    ),
    "push": _Places(
        kind="push",
        service="repository.name",
        id="after",
        version="after",
        time="head_commit.timestamp",
        actor="pusher.name",
        status="ref",
        summary="head_commit.message",
    ),
}
_GITLAB: Final[Mapping[str, _Places]] = {
    "Deployment Hook": _Places(
        kind=DEPLOYMENT,
        service="project.name",
        id="deployment_id",
        version="short_sha",
        time="status_changed_at",
        actor="user.username",
        status="status",
        environment="environment",
        summary="commit_title",
    ),
    "Release Hook": _Places(
        kind="release",
        service="project.name",
        id="id",
        version="tag",
        time="released_at",
        actor="commit.author.name",
        status="action",
        summary="name",
    ),
    "Push Hook": _Places(
        kind="push",
        service="project.name",
        id="after",
        version="after",
        time="commits.0.timestamp",
        actor="user_username",
        status="ref",
        summary="commits.0.message",
    ),
}
_HEADERS: Final = (("x-github-event", _GITHUB), ("x-gitlab-event", _GITLAB))
_OFFSET: Final = re.compile(r" (?=[+-]\d{4}$)")
_decode: Final = msgspec.json.Decoder().decode


class GitWebhook:
    """The receiver of `POST /webhooks/git`. An event of another kind is taken, and is no change."""

    Config = RowLimits
    makes: ClassVar[Noun] = "changes"

    def __init__(self, config: RowLimits | None = None) -> None:
        self._limits = config or RowLimits()
        self._inflater = Inflater(self._limits)

    def decode(self, body: bytes, headers: Mapping[str, str], *, now_ns: int) -> WireRows:
        event, known = _event(headers)
        items = read_items(body, headers, self._inflater, is_single_allowed=True, listed_under="")
        places = known.get(event)
        if places is None:
            return WireRows(())
        return gather(items, partial(_told, places), self._limits, now_ns=now_ns)


def _event(headers: Mapping[str, str]) -> tuple[str, Mapping[str, _Places]]:
    for header, known in _HEADERS:
        if header in headers:
            return headers[header], known
    raise BadInput("neither X-GitHub-Event nor X-Gitlab-Event says what happened")


def _told(places: _Places, raw: Raw) -> Told:
    item = _decode(raw)
    service = text_at(item, places.service)
    known_by = [service, places.kind, text_at(item, places.id)]
    return Told(
        id=xxhash.xxh3_128(msgspec.json.encode(known_by)).hexdigest() if known_by[2] else "",
        service=service,
        timestamp=_moment(time_at(item, places.time)),
        kind=places.kind,
        version=text_at(item, places.version)[:40],
        status=text_at(item, places.status),
        actor=text_at(item, places.actor),
        summary=text_at(item, places.summary).partition("\n")[0],
        details={"environment": text_at(item, places.environment) or None},
    )


def _moment(time: Time) -> Time:
    """GitLab writes `2021-04-28 21:50:00 +0200`, or UTC behind it."""
    if not isinstance(time, str):
        return time
    return _OFFSET.sub("", time.removesuffix(" UTC"))
