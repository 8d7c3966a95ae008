"""Where the shop keeps things: rows, what is cached, and which servers do it."""

from __future__ import annotations

import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

pytest.importorskip("flask")
pytest.importorskip("supervisor")

from shop import stores
from shop.cache import Memory, Redis
from shop.database import Exhausted, Postgres, Sqlite, called
from shop.plan import Plan, free_ports
from shop.stock import Customers, Payments
from shop.stores import Missing, Program, chosen, installed
from shop.supervise import configuration


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("SELECT n FROM stock WHERE item = %s", "SELECT stock"),
        ("UPDATE stock SET n = n - 1", "UPDATE stock"),
        ("INSERT INTO payments VALUES (%s)", "INSERT payments"),
        ("CREATE TABLE IF NOT EXISTS customers (customer INTEGER)", "CREATE customers"),
        ("select 1", "SELECT"),
    ],
)
def test_a_statement_is_called_by_what_it_does_to_what(statement: str, name: str) -> None:
    assert called(statement) == name


def test_every_statement_is_watched_while_it_runs(tmp_path: Path) -> None:
    seen: list[str] = []

    @contextmanager
    def watch(statement: str) -> Iterator[None]:
        seen.append(statement)
        yield
        seen.append("done")

    customers = Customers(Sqlite(tmp_path / "shop.db", watch))
    seen.clear()

    plans = [customers.plan(customer) for customer in (7, 10, 1 << 30)]

    assert plans == ["free", "gold", "free"]
    assert seen == ["SELECT customers", "done"] * 3


def test_payments_of_before_are_no_longer_of_late(tmp_path: Path) -> None:
    payments = Payments(Sqlite(tmp_path / "shop.db"), history=40_000)
    payments.paid(7, 1000)
    again = Payments(Sqlite(tmp_path / "shop.db"), history=40_000)

    held = Sqlite(tmp_path / "shop.db").rows("SELECT count(*) FROM payments WHERE customer = 7")

    assert [again.lately(customer) for customer in (7, 8)] == [1, 0]
    assert held == [(41,)]


def test_a_cache_in_memory_keeps_for_a_while_and_only_so_much() -> None:
    cache = Memory(size=2)
    for key in ("a", "b", "c"):
        cache.put(key, 1, 3600.0)
    cache.put("c2", [1], 0.0)

    assert [cache.get(key) for key in ("a", "b", "c", "c2")] == [None, None, 1, None]


def test_who_finds_no_connection_free_is_told_so() -> None:
    """The only one is in use while somebody looks where its server is."""
    pytest.importorskip("psycopg")
    asked, go_on = threading.Event(), threading.Event()

    def where() -> tuple[str, int]:
        asked.set()
        go_on.wait(60)
        raise ConnectionError

    database = Postgres(where, size=1, free_s=0.01)

    def ask() -> None:
        with suppress(ConnectionError):
            database.rows("SELECT 1")

    first = threading.Thread(target=ask)
    first.start()
    asked.wait(60)

    with pytest.raises(Exhausted, match=r"none of 1 connections came free in 0\.01 s"):
        database.rows("SELECT 1")
    go_on.set()
    first.join()


def test_where_no_database_answers_the_last_refusal_is_told() -> None:
    psycopg = pytest.importorskip("psycopg")
    nowhere = "127.0.0.1", free_ports(["nobody"])["nobody"]

    with pytest.raises(psycopg.OperationalError):
        Postgres(lambda: nowhere).await_ready(until_s=0.0)


def test_where_no_cache_answers_it_is_told() -> None:
    redis = pytest.importorskip("redis")
    nowhere = "127.0.0.1", free_ports(["nobody"])["nobody"]

    with pytest.raises(redis.ConnectionError):
        Redis(lambda: nowhere).get("a")


def test_the_newest_server_is_found_where_debian_has_it(tmp_path: Path) -> None:
    for version in ("9", "15"):
        (tmp_path / version / "bin").mkdir(parents=True)
        (tmp_path / version / "bin" / "no-such-server").touch()

    found = installed("no-such-server", tmp_path)

    assert found == tmp_path / "15" / "bin" / "no-such-server"
    assert installed("no-such-server", tmp_path / "15") is None


def none_installed(name: str) -> None:
    """Nothing is, whatever the name."""


def all_installed(name: str) -> Path:
    return Path("/usr/bin") / name


@pytest.mark.parametrize(
    ("there", "database", "cache", "runs"),
    [
        (all_installed, "auto", "auto", ("postgresql", "redis")),
        (all_installed, "sqlite", "redis", ("redis",)),
        (all_installed, "postgresql", "memory", ("postgresql",)),
        (none_installed, "auto", "auto", ()),
        (none_installed, "sqlite", "memory", ()),
    ],
)
def test_servers_run_where_they_are_installed_and_not_refused(
    there: Callable[[str], Path | None],
    database: str,
    cache: str,
    runs: tuple[str, ...],
) -> None:
    pytest.importorskip("psycopg")
    pytest.importorskip("redis")

    assert chosen(database, cache, there) == runs


@pytest.mark.parametrize(
    ("database", "cache", "why"),
    [
        ("postgresql", "auto", "postgres is not installed; .* leave out --database postgresql"),
        ("auto", "redis", "redis-server is not installed; .* leave out --cache redis"),
    ],
)
def test_a_server_that_is_asked_for_and_not_there_is_told(
    database: str, cache: str, why: str
) -> None:
    with pytest.raises(Missing, match=why):
        chosen(database, cache, none_installed)


def test_only_where_everybody_may_pass_another_account_may_enter(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(stat.S_IRWXU)

    shut = stores.may_be_entered(home)

    assert not shut
    assert stores.may_be_entered(Path("/"))


def test_the_supervisor_runs_servers_as_they_want_to_be_run() -> None:
    servers = [
        Program("postgresql", "/bin/postgres -D /x%", Path("/x%"), "postgres", stop="INT"),
        Program("redis", "/bin/redis-server", Path("/x")),
    ]

    text = configuration(Plan(folder="/tmp/x", ports={"payment": 1}, load=False), servers)
    postgres, redis, payment = text.split("[program:")[1:]

    assert "user=postgres\n" in postgres
    assert "stopsignal=INT\n" in postgres
    assert "command=/bin/postgres -D /x%%\n" in postgres
    assert "user=" not in redis
    assert "[group:stores]\nprograms=postgresql,redis\npriority=0\n" in text
    assert "[group:services]\nprograms=payment\npriority=1\n" in text
    assert ["stopasgroup=true" in one for one in (postgres, redis, payment)] == [False, False, True]
