"""What became of many requests, summed up for the person who sent them."""

from __future__ import annotations

from collections.abc import Mapping

from watchkeeper.cli.output import Output
from watchkeeper.sdk import Rejected, Written


class Tally:
    """Counts, and the first example of each reason.

    `remedies` are for reasons where the server's own words do not know why one sends.
    """

    def __init__(self, remedies: Mapping[str, str] | None = None, noun: str = "samples") -> None:
        self._remedies = remedies or {}
        self._noun = noun
        self.n_requests = 0
        self.n_accepted = 0
        self._rejected: dict[str, Rejected] = {}

    @property
    def n_rejected(self) -> int:
        return sum(one.count for one in self._rejected.values())

    def add(self, written: Written) -> None:
        self.n_requests += 1
        self.n_accepted += written.accepted
        for one in written.rejected:
            before = self._rejected.get(one.reason)
            count = one.count + (before.count if before else 0)
            detail = before.detail if before else one.detail
            self._rejected[one.reason] = Rejected(one.reason, count, detail)

    def tell(self, output: Output) -> None:
        """The sum, on standard output."""
        if output.as_json:
            output.json({"accepted": self.n_accepted, "rejected": list(self._rejected.values())})
            return
        output.print(f"{self.n_accepted} {self._noun} accepted in {self.n_requests} requests")
        for one in self._rejected.values():
            said = "; ".join(filter(None, (one.detail, self._remedies.get(one.reason, ""))))
            output.print(f"{one.count} not accepted: {one.reason}{f': {said}' if said else ''}")
