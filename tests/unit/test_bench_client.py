"""The bench's one client: keeps connections and order, and takes nothing for an answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import chain

import pytest

from bench import client
from bench.client import Connection, Door
from bench.sender import Delivered, Shard
from tests.unit.stub import Reply, serving

OK = b"HTTP/1.1 204 No Content\r\n\r\n"


@dataclass
class Peer:
    """Answers each request with the next of `answers`; None hangs up. Counts connections."""

    answers: list[bytes | None]
    bodies: list[bytes] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    n_connections: int = 0
    port: int = 0
    hangs_up: bool = False
    """After an answer."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.n_connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                size = int(head.lower().split("content-length: ")[1].split("\r\n")[0])
                self.heads.append(head)
                self.bodies.append(await reader.readexactly(size))
                answer = self.answers.pop(0) if self.answers else OK
                if answer is None:
                    return
                writer.write(answer)
                if self.hangs_up:
                    return
        except asyncio.IncompleteReadError:
            return
        finally:
            writer.close()


@asynccontextmanager
async def peer(*answers: bytes | None) -> AsyncIterator[Peer]:
    one = Peer(list(answers))
    server = await asyncio.start_server(one.serve, client.HOST, 0)
    async with server:
        one.port = server.sockets[0].getsockname()[1]
        yield one


def door(port: int) -> Door:
    return Door(port, "/write", {"Content-Type": "x"})


def answer(status: int, text: str, *more: str) -> bytes:
    head = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(text)}", *more, "", ""]
    return "\r\n".join(head).encode() + text.encode()


async def post(one: Peer, *bodies: bytes) -> list[tuple[int, str]]:
    connection = Connection(one.port)
    try:
        return [await connection.post(door(one.port).request(body)) for body in bodies]
    finally:
        await connection.close()


async def test_one_connection_carries_request_after_request() -> None:
    async with peer(answer(200, "first"), OK, answer(400, "no")) as one:
        told = await post(one, b"a", b"", b"ccc")

        assert told == [(200, "first"), (204, ""), (400, "no")]
        assert one.bodies == [b"a", b"", b"ccc"]
        assert one.n_connections == 1


async def test_a_request_names_its_host_path_headers_and_length() -> None:
    async with peer() as one:
        await post(one, b"four")

        assert one.heads[0].splitlines() == [
            "POST /write HTTP/1.1",
            f"Host: 127.0.0.1:{one.port}",
            "Content-Type: x",
            "Content-Length: 4",
            "",
        ]


async def test_a_server_that_closes_is_connected_to_again() -> None:
    async with peer(answer(200, "bye", "Connection: close"), OK) as one:
        assert await post(one, b"a", b"b") == [(200, "bye"), (204, "")]
        assert one.n_connections == 2


@pytest.mark.parametrize(
    "broken",
    [
        None,
        b"",
        b"HTTP/1.1 200 OK\r\n",
        answer(200, "whole")[:-1],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
    ids=["hangs up", "says nothing", "half a head", "half a body", "chunked"],
)
async def test_what_is_no_whole_answer_breaks_the_connection(broken: bytes | None) -> None:
    async with peer(broken) as one:
        one.hangs_up = True

        with pytest.raises(ConnectionError, match=r"127\.0\.0\.1"):
            await post(one, b"a")
        assert one.bodies == [b"a"]


async def test_a_connection_goes_on_after_a_break() -> None:
    async with peer(None, answer(200, "again")) as one:
        connection = Connection(one.port)
        with pytest.raises(ConnectionError):
            await connection.post(door(one.port).request(b"a"))

        assert await connection.post(door(one.port).request(b"a")) == (200, "again")
        await connection.close()


async def test_closing_twice_and_without_use_is_harmless() -> None:
    connection = Connection(1)

    await connection.close()
    await connection.close()


def test_all_bodies_of_all_steps_arrive_and_each_is_timed() -> None:
    with serving({"/write": Reply(204)}) as stub:
        steps = [[b"%d-%d" % (step, n) for n in range(6)] for step in range(3)]

        sent = client.post_all(door(int(stub.url.rpartition(":")[2])), steps)

        assert sorted(asked.body for asked in stub.asked) == sorted(chain(*steps))
        assert len(sent.latencies_s) == 18
        assert sent.wall_s >= max(sent.latencies_s)


def test_bodies_of_one_place_keep_their_order_over_all_steps() -> None:
    """Series of body n are always in body n: their samples must not overtake one another."""
    with serving({"/write": Reply(204)}) as stub:
        steps = [[b"%d-%d" % (step, n) for n in range(7)] for step in range(5)]
        client.post_all(door(int(stub.url.rpartition(":")[2])), steps)

        for n in range(7):
            mine = [asked.body for asked in stub.asked if asked.body.endswith(b"-%d" % n)]
            assert mine == [b"%d-%d" % (step, n) for step in range(5)]


def test_an_answer_that_is_no_success_ends_the_round() -> None:
    with (
        serving({"/write": Reply(503, b"full")}) as stub,
        pytest.raises(client.Refused, match="503: full") as refusal,
    ):
        client.post_all(door(int(stub.url.rpartition(":")[2])), [[b"a"]])
    assert refusal.value.status == 503


@pytest.mark.parametrize(("n_bodies", "n_shards"), [(0, 4), (3, 4), (10, 4), (10, 1)])
def test_every_body_is_dealt_to_one_connection(n_bodies: int, n_shards: int) -> None:
    bodies = [b"%d" % n for n in range(n_bodies)]

    dealt = client.shards(bodies, n_shards)

    assert len(dealt) == n_shards
    assert sorted(chain(*dealt)) == sorted(bodies)
    assert max(map(len, dealt)) - min(map(len, dealt)) <= 1


@pytest.mark.parametrize(("condition", "held"), [(lambda: True, True), (lambda: False, False)])
def test_waiting_ends_with_the_condition_or_with_the_time(
    condition: Callable[[], bool], held: bool
) -> None:
    assert client.wait_until(condition, timeout_s=0.0, every_s=0.0) is held


async def test_a_sender_stops_when_it_is_told_and_sees_the_last_body_through() -> None:
    async with peer(answer(503, "wait"), None, OK, OK) as one:
        delivered = Delivered()
        shard = Shard(door(one.port), lambda index: b"body %d" % index, delivered)

        await shard.send(lambda index: index < 1, per_second=None)

        assert one.bodies == [b"body 0"] * 3
        assert (delivered.acknowledged, delivered.retries) == (1, 2)


async def test_the_first_refusal_is_the_one_that_is_told() -> None:
    async with peer(answer(400, "first"), answer(422, "second"), OK) as one:
        delivered = Delivered()
        shard = Shard(door(one.port), lambda index: b"", delivered)

        await shard.send(lambda index: index < 3, per_second=1000.0)

        assert (delivered.acknowledged, delivered.dropped) == (1, 2)
        assert delivered.refusal == "400: first"
