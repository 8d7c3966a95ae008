"""The server needs nothing from the world outside, and neither does whoever looks at it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fronts import Api, api


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[Api]:
    async with api(tmp_path) as found:
        yield found


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/docs/oauth2-redirect"])
async def test_no_page_that_fetches_from_elsewhere_is_served(one: Api, path: str) -> None:
    """A browser beside the server may be as cut off from the world as the server is."""
    assert (await one.http.get(path)).status_code == 404


async def test_nothing_that_is_served_points_outside(one: Api) -> None:
    pages = [
        (await one.http.get(path)).text
        for path in ("/openapi.json", "/health", "/metrics", "/docs", "/")
    ]

    assert not any(re.search(r"https?://(?!127|localhost)", page) for page in pages)
