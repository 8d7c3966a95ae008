"""Server-sent events, line by line."""

from __future__ import annotations

from watchkeeper.sdk.answers import Anomaly, Change
from watchkeeper.sdk.reading import read


class EventLines:
    """Feed lines, get changes. Remembers the last event's id, with which a stream is resumed."""

    def __init__(self, last_id: str | None = None) -> None:
        self.last_id = last_id
        self._name = ""
        self._data: list[str] = []

    def feed(self, line: str) -> Change | None:
        """The change that this line completes, if it does."""
        if not line:
            return self._complete()
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "id":
            self.last_id = value
        elif field == "event":
            self._name = value
        elif field == "data":
            self._data.append(value)
        return None  # a comment keeps the line open and says nothing

    def cut(self) -> None:
        """The connection ended: what was not complete is gone."""
        self._name, self._data = "", []

    def _complete(self) -> Change | None:
        name, data = self._name, "\n".join(self._data)
        self.cut()
        if name == "reset":
            return Change(None, self.last_id)
        if name == "anomaly" and data:
            return Change(read(data, Anomaly), self.last_id)
        return None
