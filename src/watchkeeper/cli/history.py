"""Reads the history of a Prometheus, or of whatever speaks its query API, window by window."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final, Generic, TypeVar

import httpx
import msgspec
import numpy as np

from watchkeeper.cli.times import digits
from watchkeeper.errors import BadInput, Permanent
from watchkeeper.sdk import TimeSeries
from watchkeeper.sdk.calls import Call
from watchkeeper.sdk.reading import UNREADABLE
from watchkeeper.sdk.retry import Retry, settled

T = TypeVar("T")

MAX_POINTS: Final = 11_000
"""Of one series in one answer to query_range; Prometheus refuses more."""


class _Row(msgspec.Struct):
    metric: dict[str, str]
    values: list[tuple[float, str]] = []


class _Matrix(msgspec.Struct):
    result: list[_Row]


class _Answer(msgspec.Struct, Generic[T]):
    status: str
    data: T | None = None
    error: str = ""


class TooMuch(BadInput):
    """The window holds more than the source is willing to answer at once."""


class History:
    """The samples of a selector in some time, as they were scraped, or resampled every `step_s`.

    All series of a window come together, so that windows in order are history in event time.
    """

    def __init__(
        self,
        url: str,
        match: str,
        *,
        http: httpx.Client,
        step_s: float | None = None,
        retry: Retry | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = url.rstrip("/")
        self.match = match
        self.step_s = step_s
        self._retry = retry or Retry(attempts=6)
        self._sleep = sleep
        self._http = http

    def n_series(self, start_s: float, end_s: float) -> int:
        """How many series there are; counted by the source, so it may be more than is live."""
        found = self._ask(
            "/api/v1/series",
            {"match[]": self.match, "start": f"{start_s:.3f}", "end": f"{end_s:.3f}"},
            list[dict[str, str]],
        )
        return len(found)

    def read(self, start_s: float, end_s: float) -> list[TimeSeries]:
        """Samples with start < time <= end. Raises TooMuch where a shorter window may do."""
        if self.step_s is None:
            window_ms = round((end_s - start_s) * 1000)
            params = {"query": f"{self.match}[{window_ms}ms]", "time": f"{end_s:.3f}"}
            found = self._ask("/api/v1/query", params, _Matrix)
        else:
            if (end_s - start_s) / self.step_s > MAX_POINTS:
                raise TooMuch(f"{self.url}: more than {MAX_POINTS} steps at once")
            params = {
                "query": self.match,
                "start": f"{start_s + self.step_s:.3f}",
                "end": f"{end_s:.3f}",
                "step": digits(self.step_s),
            }
            found = self._ask("/api/v1/query_range", params, _Matrix)
        read = [_columns(row, round(start_s * 1000)) for row in found.result]
        return [series for series in read if len(series)]

    def _ask(self, path: str, params: Mapping[str, str], kind: type[T]) -> T:
        call = Call("POST", path, lambda response: self._data(response, kind), params,
                    also=frozenset({400, 422}))  # fmt: skip
        attempt = 0
        while True:
            attempt += 1
            result = settled(call, self._retry, attempt, self._try(call), url=self.url)
            if isinstance(result, httpx.Response):
                return call.read(result)
            self._sleep(result)

    def _try(self, call: Call[T]) -> httpx.Response | httpx.TransportError:
        try:
            # As a form: a selector may be longer than an address may be.
            return self._http.post(f"{self.url}{call.path}", data=dict(call.params))
        except httpx.TransportError as error:
            return error

    def _data(self, response: httpx.Response, kind: type[T]) -> T:
        try:
            answer = msgspec.json.decode(response.content, type=_Answer[kind])  # type: ignore[valid-type]
        except UNREADABLE as error:
            raise Permanent(
                f"{self.url}: answers nothing that Prometheus would ({error}); check --from"
            ) from error
        if answer.status == "success" and answer.data is not None:
            data: T = answer.data
            return data
        if response.status_code == 422:
            raise TooMuch(f"{self.url}: {answer.error}")
        raise BadInput(f"{self.url}: {answer.error}; check --match", status=response.status_code)


def _columns(row: _Row, after_ms: int) -> TimeSeries:
    """One series; what lies at the edge belongs to the window before (some sources give it)."""
    time_ms = np.array([round(time_s * 1000) for time_s, _ in row.values], np.int64)
    value = np.array([float(text) for _, text in row.values], np.float64)
    inside = time_ms > after_ms
    return TimeSeries(row.metric, time_ms[inside], value[inside])
