"""Commands as people type them, asked of a whole API in this process."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.fronts import Api
from tests.unit.stub import Asked, Reply, Route, serving
from watchkeeper import cli

_PASSED_ON = ("content-type", "if-match", "authorization", "x-scope-orgid", "accept")


@dataclass(frozen=True)
class Told:
    """What a command printed, and how it ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def remarks(self) -> str:
        """What is beside the data, as if no terminal had broken its lines."""
        return " ".join(self.err.split())


class _Everywhere(dict[str, Route | list[Reply]]):
    """One answer to every path."""

    def __init__(self, route: Route) -> None:
        super().__init__()
        self._route = route

    def get(self, _path: str, _default: Any = None) -> Any:
        return self._route


@dataclass(frozen=True)
class Operator:
    """Somebody at a terminal."""

    one: Api
    said: pytest.CaptureFixture[str]
    url: str

    async def __call__(self, *argv: str) -> Told:
        status = await asyncio.to_thread(entered, [*argv, "--url", self.url])
        out, err = self.said.readouterr()
        return Told(status, out, err)


@asynccontextmanager
async def operating(one: Api, said: pytest.CaptureFixture[str]) -> AsyncIterator[Operator]:
    """A small server passes on what commands ask."""
    loop = asyncio.get_running_loop()

    def passed_on(asked: Asked) -> Reply:
        answer = asyncio.run_coroutine_threadsafe(_asked(one.http, asked), loop).result(10)
        kind = answer.headers.get("content-type", "application/json")
        return Reply(answer.status_code, answer.content, {"content-type": kind})

    with serving(_Everywhere(passed_on)) as stub:
        yield Operator(one, said, stub.url)


async def _asked(http: httpx.AsyncClient, asked: Asked) -> httpx.Response:
    headers = {name: asked.headers[name] for name in _PASSED_ON if name in asked.headers}
    return await http.request(
        asked.method, asked.path, params=asked.params, content=asked.body, headers=headers
    )


def ran(*argv: str) -> Told:
    """A command in this process: that costs a tenth of one of its own."""
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        status = entered(list(argv))
    return Told(status, out.getvalue(), err.getvalue())


def entered(argv: list[str]) -> int:
    """Where the words are none of the command's, argparse ends it."""
    try:
        return cli.main(argv)
    except SystemExit as refused:
        return int(refused.code or 0)
