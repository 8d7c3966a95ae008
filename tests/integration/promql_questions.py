"""Expressions over the pair's fleet: a list for readers, and as many at random as one likes."""

from __future__ import annotations

from hypothesis import strategies as st

_COUNTERS = st.sampled_from(
    ["http_requests_total", 'http_requests_total{code="500"}', 'http_requests_total{path=~"/.+"}',
     "latency_seconds_count", "latency_seconds_sum", "memory_bytes", "coming_and_going"]
)  # fmt: skip
_GAUGES = st.sampled_from(
    ["temperature", 'temperature{floor!="1"}', "level", "up", "sparse", "memory_bytes", "constant",
     "moment_seconds", "tiny", 'coming_and_going{who="second"}', "nothing_at_all"]
)  # fmt: skip
_LENGTHS = st.sampled_from(["40s", "1m", "2m30s", "5m", "17m", "1h"])
_TIMES = st.sampled_from(
    ["", "", "", "", " offset 3m", " offset -90s", " @ start()", " @ end() offset 10m", " @ START"]
)
_OFFSETS = st.sampled_from(["", "", " offset 3m", " offset -90s"])
_BY = st.sampled_from(
    ["", " by (code)", " by (instance, path)", " by (floor)", " without (instance)", " by (of)"]
)
_OF_COUNTERS = st.sampled_from(["rate", "increase", "irate", "resets"])
_OF_GAUGES = st.sampled_from(
    ["avg_over_time", "min_over_time", "max_over_time", "sum_over_time", "count_over_time",
     "last_over_time", "present_over_time", "stddev_over_time", "stdvar_over_time", "changes",
     "resets", "delta", "idelta", "deriv", "absent_over_time"]
)  # fmt: skip
_FOLDS = st.sampled_from(["sum", "avg", "min", "max", "count", "group", "stddev"])
_OF_VALUES = st.sampled_from(
    ["abs", "ceil", "floor", "sqrt", "exp", "sgn", "ln", "log2", "round", "absent",
     "-", "2 *", "1 /", "5 >", "20 <= bool", "7 - ", "2 ^", "vector(1) unless"]
)  # fmt: skip
_BETWEEN = st.sampled_from(
    ["+", "*", "/", "and", "or", "unless", "and on(instance)", "unless on(instance)",
     "or on(instance)", "* on(instance, path, code)", "/ ignoring(job)", "> bool"]
)  # fmt: skip


@st.composite
def _read(draw: st.DrawFn, depth: int = 0) -> str:
    """What is exact: of one series at a time. Prometheus 2.42 loses `@` in nested subqueries."""
    times = _OFFSETS if depth else _TIMES
    kind = draw(st.integers(0, 4 if depth < 3 else 3))
    if kind == 0:
        return draw(_GAUGES) + draw(times)
    if kind == 1:
        counter = draw(_COUNTERS) + f"[{draw(_LENGTHS)}]" + draw(times)
        return f"{draw(_OF_COUNTERS)}({counter})"
    if kind == 2:
        return f"{draw(_OF_GAUGES)}({draw(_GAUGES)}[{draw(_LENGTHS)}]{draw(times)})"
    if kind == 3:
        q = draw(st.sampled_from(["0", "0.25", "0.5", "0.99", "1"]))
        return f"quantile_over_time({q}, {draw(_GAUGES)}[{draw(_LENGTHS)}]{draw(times)})"
    step = draw(st.sampled_from(["", "30s", "1m", "95s"]))
    inner = draw(_read(depth + 1))
    return f"{draw(_OF_GAUGES)}(({inner})[{draw(_LENGTHS)}:{step}]{draw(times)})"


@st.composite
def expressions(draw: st.DrawFn) -> str:
    """Nothing is subtracted or compared after it was summed: there an order of series shows."""
    expression = draw(_read())
    for _ in range(draw(st.integers(0, 2))):
        expression = f"{draw(_OF_VALUES)}({expression})"
    if draw(st.booleans()):
        expression = f"({expression}) {draw(_BETWEEN)} ({draw(_read())})"
    if draw(st.integers(0, 2)) == 0:
        expression = f"{draw(_FOLDS)}{draw(_BY)} ({expression})"
    return expression
