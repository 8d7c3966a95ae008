"""What GitHub and GitLab tell a webhook, as changes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from watchkeeper import plugins
from watchkeeper.errors import BadInput
from watchkeeper.model.change import Change
from watchkeeper.model.signal import WireRows

NOW_NS = 1_767_607_200 * 1_000_000_000
AT_NS = 1_767_606_900 * 1_000_000_000
DEPLOYED = {
    "deployment_status": {"state": "success", "updated_at": "2026-01-05T09:55:00Z"},
    "deployment": {
        "id": 7,
        "sha": "abc123",
        "environment": "production",
        "creator": {"login": "ann"},
        "description": "fixes\nand more",
    },
    "repository": {"name": "payment"},
}
LAB = {
    "status": "success",
    "status_changed_at": "2026-01-05 10:55:00 +0100",
    "deployment_id": 15,
    "environment": "production",
    "project": {"name": "payment"},
    "short_sha": "abc123",
    "user": {"username": "ann"},
    "commit_title": "fixes",
}


def decode(sent: Any, **headers: str) -> WireRows:
    receiver = plugins.load("receiver", "git_webhook")()
    told = {name.replace("_", "-"): text for name, text in headers.items()}
    wire = receiver.decode(json.dumps(sent).encode(), told, now_ns=NOW_NS)
    assert isinstance(wire, WireRows)
    return wire


def change(sent: Any, **headers: str) -> Change:
    (found,) = decode(sent, **headers).records
    assert isinstance(found, Change)
    return found


@pytest.mark.parametrize(
    ("sent", "headers"),
    [
        (DEPLOYED, {"x_github_event": "deployment_status"}),
        (LAB, {"x_gitlab_event": "Deployment Hook"}),
    ],
    ids=["github", "gitlab"],
)
def test_both_tell_of_a_deployment(sent: Any, headers: dict[str, str]) -> None:
    found = change(sent, **headers)

    assert (found.kind, found.service, found.version) == ("deployment", "payment", "abc123")
    assert (found.status, found.actor, found.time_ns) == ("success", "ann", AT_NS)
    assert (found.summary, found.details) == ("fixes", {"environment": "production"})


def test_a_deployment_is_the_same_one_from_its_start_to_its_end() -> None:
    begun = {**DEPLOYED, "deployment_status": {"state": "in_progress"}}

    first = change(begun, x_github_event="deployment_status")

    assert first.id == change(DEPLOYED, x_github_event="deployment_status").id
    assert first.status == "in_progress"


@pytest.mark.parametrize(
    ("sent", "headers", "kind", "version"),
    [
        (
            {
                "ref": "refs/heads/main",
                "after": "f" * 64,
                "head_commit": {"timestamp": "2026-01-05T10:55:00+01:00", "message": "m"},
                "pusher": {"name": "ann"},
                "repository": {"name": "payment"},
            },
            {"x_github_event": "push"},
            "push",
            "f" * 40,
        ),
        (
            {
                "action": "published",
                "release": {"id": 1, "tag_name": "v2", "published_at": "2026-01-05T09:55:00Z"},
                "repository": {"name": "payment"},
            },
            {"x_github_event": "release"},
            "release",
            "v2",
        ),
        (
            {
                "id": 1,
                "tag": "v2",
                "released_at": "2026-01-05 09:55:00 UTC",
                "project": {"name": "payment"},
            },
            {"x_gitlab_event": "Release Hook"},
            "release",
            "v2",
        ),
        (
            {
                "ref": "refs/heads/main",
                "after": "abc",
                "project": {"name": "payment"},
                "commits": [{"timestamp": "2026-01-05T09:55:00+00:00", "message": "m"}],
            },
            {"x_gitlab_event": "Push Hook"},
            "push",
            "abc",
        ),
    ],
)
def test_releases_and_pushes_are_changes_too(
    sent: Any, headers: dict[str, str], kind: str, version: str
) -> None:
    found = change(sent, **headers)

    assert (found.kind, found.version, found.service) == (kind, version, "payment")
    assert found.time_ns == AT_NS


def test_an_event_of_another_kind_is_taken_and_no_change() -> None:
    assert decode({"zen": "Keep it simple"}, x_github_event="ping") == WireRows(())


def test_who_does_not_say_what_happened_is_refused() -> None:
    with pytest.raises(BadInput, match="X-GitHub-Event"):
        decode(DEPLOYED)


@pytest.mark.parametrize("sent", [{}, {**DEPLOYED, "repository": {}}])
def test_an_event_that_names_no_repository_is_refused(sent: Any) -> None:
    wire = decode(sent, x_github_event="deployment_status")

    assert wire.records == ()
    assert "no service" in wire.rejects[0].detail
