"""SQL over head and segments together: DuckDB computes over the samples that a query selects.

The statement sees two relations and nothing else: `samples(series, time, value)`, and
`series(series, labels)` with labels as a map. No file, no network, no extension, no setting.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import duckdb
import pyarrow as pa

from watchkeeper.errors import BadInput
from watchkeeper.lake.base import Frame, Lake, SampleQuery

_SETTINGS: Final[dict[str, Any]] = {
    "enable_external_access": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "temp_directory": "",
    "max_temp_directory_size": "0B",
    "threads": 1,
}


def run_sql(
    lake: Lake,
    query: SampleQuery,
    statement: str,
    *,
    memory_bytes: int = 512 << 20,
    timeout_s: float = 10.0,
) -> pa.Table:
    """What `statement` makes of the query's answer; at most `query.limit` rows of it.

    Raises BadInput for a statement that DuckDB refuses, that takes too long or needs too much.
    """
    samples, series = tables(lake.query(query))
    connection = duckdb.connect(":memory:", config=_SETTINGS)
    try:
        connection.execute("SET python_enable_replacements = false")
        connection.execute(f"SET memory_limit = '{memory_bytes}B'")
        connection.register("samples", samples)
        connection.register("series", series)
        connection.execute("SET lock_configuration = true")
        with _within(connection, timeout_s):
            relation = connection.sql(statement)
            answer: pa.Table | None = relation.to_arrow_table() if relation else None
    except duckdb.InterruptException as error:
        raise BadInput(
            f"sql: took longer than {timeout_s} s; narrow the range or the selector"
        ) from error
    except duckdb.Error as error:
        raise BadInput(f"sql: {error}") from error
    finally:
        connection.close()
    if answer is None:
        raise BadInput("sql: the statement has no answer; write a SELECT")
    if answer.num_rows > query.limit:
        raise BadInput(f"sql: {answer.num_rows} rows are more than {query.limit}; add a LIMIT")
    return answer


def tables(frame: Frame) -> tuple[pa.Table, pa.Table]:
    """A frame as the two relations, without copying samples."""
    samples = pa.table(
        {
            "series": pa.array(frame.row),
            "time": pa.array(frame.time_ns).view(pa.timestamp("ns")),
            "value": pa.array(frame.value),
        }
    )
    labels = [list(labels.items()) for labels in frame.labels]
    series = pa.table(
        {
            "series": pa.array(range(len(labels)), pa.int32()),
            "labels": pa.array(labels, pa.map_(pa.string(), pa.string())),
        }
    )
    return samples, series


@contextmanager
def _within(connection: duckdb.DuckDBPyConnection, timeout_s: float) -> Iterator[None]:
    timer = threading.Timer(timeout_s, connection.interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
