"""How the protocols of alerts say what happened to a body."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from watchkeeper.api.doors import Answer, Headers, JsonWords, retry_headers, sentence
from watchkeeper.api.problems import status_of
from watchkeeper.errors import OverLimit, WatchkeeperError
from watchkeeper.ingest.prepare import Accepted
from watchkeeper.ingest.receivers.base import Noun

_JSON: Final[Headers] = ((b"content-type", b"application/json"),)


def _status(error: WatchkeeperError) -> int:
    """Alertmanager and what is made like it send again after 5xx, and drop what gets any 4xx."""
    return 503 if isinstance(error, OverLimit) else status_of(error)


class AlertmanagerWords:
    """200 without a body; 400 with a JSON string where any alert was bad. The good ones are kept,
    and nobody sends again whatever is answered."""

    def accepted(self, accepted: Accepted, headers: Mapping[str, str]) -> Answer:
        if accepted.rejects:
            return Answer(400, json.dumps(sentence(accepted, "alerts")).encode(), _JSON)
        return Answer(200, headers=_JSON)

    def refused(self, error: WatchkeeperError, headers: Mapping[str, str]) -> Answer:
        told = json.dumps(str(error)).encode()
        return Answer(_status(error), told, (*_JSON, *retry_headers(error)))


class WebhookWords:
    """As plain JSON is answered, but never 429: senders drop what is refused so."""

    _plain: Final = JsonWords("alerts")

    def accepted(self, accepted: Accepted, headers: Mapping[str, str]) -> Answer:
        return self._plain.accepted(accepted, headers)

    def refused(self, error: WatchkeeperError, headers: Mapping[str, str]) -> Answer:
        return replace(self._plain.refused(error, headers), status=_status(error))


class KeepWords(WebhookWords):
    """202 with the name of a task."""

    def accepted(self, accepted: Accepted, headers: Mapping[str, str]) -> Answer:
        if accepted.rejects and not accepted.n_accepted:
            return super().accepted(accepted, headers)
        return Answer(202, json.dumps({"task_name": str(uuid.uuid4())}).encode(), _JSON)


@dataclass(frozen=True, slots=True)
class EventWords:
    """CloudEvents over HTTP: 202, or 400 where an event was bad."""

    noun: Noun

    def accepted(self, accepted: Accepted, headers: Mapping[str, str]) -> Answer:
        if accepted.rejects:
            told = {"error": sentence(accepted, self.noun)}
            return Answer(400, json.dumps(told).encode(), _JSON)
        return Answer(202)

    def refused(self, error: WatchkeeperError, headers: Mapping[str, str]) -> Answer:
        told = json.dumps({"error": str(error)}).encode()
        return Answer(status_of(error), told, (*_JSON, *retry_headers(error)))


_PAGERDUTY: Final[Mapping[int, str]] = {400: "invalid event", 429: "throttle exceeded"}


class PagerdutyWords:
    """202 with the key of what was triggered; 429 and 5xx are sent again."""

    def accepted(self, accepted: Accepted, headers: Mapping[str, str]) -> Answer:
        if accepted.rejects:
            return _pagerduty_refusal(400, sentence(accepted, "alerts"), ())
        told = {"status": "success", "message": "Event processed", "dedup_key": accepted.told}
        return Answer(202, json.dumps(told).encode(), _JSON)

    def refused(self, error: WatchkeeperError, headers: Mapping[str, str]) -> Answer:
        return _pagerduty_refusal(status_of(error), str(error), retry_headers(error))


def _pagerduty_refusal(status: int, why: str, headers: Headers) -> Answer:
    message = "Event object is invalid" if status == 400 else why
    told = {"status": _PAGERDUTY.get(status, "error"), "message": message, "errors": [why]}
    return Answer(status, json.dumps(told).encode(), (*_JSON, *headers))
