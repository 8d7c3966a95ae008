"""Requests as Grafana's Prometheus data source sends them, and our answers, word by word."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.conftest import Golden, golden_cases
from tests.grafana import Grafana, grafana

pytestmark = pytest.mark.asyncio(loop_scope="module")
CASES = [case for case in golden_cases(__file__) if case.startswith("grafana/")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def source(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Grafana]:
    """One for all: nobody writes."""
    async with grafana(tmp_path_factory.mktemp("grafana")) as found:
        yield found


@pytest.mark.parametrize("case", CASES)
async def test_a_request_of_grafana_is_answered(case: str, golden: Golden, source: Grafana) -> None:
    """A file is a request: its line, its headers, an empty line, its form."""
    head, _, form = golden.given(case).decode().partition("\n\n")
    line, *headers = head.splitlines()
    method, path = line.split(" ", 1)

    answer = await source.http.request(
        method,
        path,
        headers=dict(header.split(": ", 1) for header in headers),
        content=form.replace("\n", "").encode(),
    )

    said = f"{answer.status_code} {answer.headers['content-type']}\n"
    if "json" in answer.headers["content-type"]:
        shown = json.dumps(answer.json(), indent=1, ensure_ascii=False)
    else:
        shown = answer.text
    golden.check(case, said + shown.rstrip("\n") + "\n")


async def test_the_requests_are_those_of_a_data_source() -> None:
    asked = {case.partition("/")[2] for case in CASES}

    assert asked >= {
        "health_check", "build_information", "metric_browser_names", "metric_browser_labels",
        "variable_values", "variable_series", "variable_of_a_query", "panel", "panel_by_address",
        "table", "exemplars", "rules", "alerts", "metadata", "mistake", "too_fine", "wrong_type",
    }  # fmt: skip
