"""What only the SQLite store has: files of SQL, migrations, and a foreign error to translate."""

from __future__ import annotations

import ast
import sqlite3
from pathlib import Path

import pytest

from tests import make
from watchkeeper.errors import ConfigError, Permanent, Retryable
from watchkeeper.store.sqlite import connection, store
from watchkeeper.store.sqlite.queries import migrations, queries
from watchkeeper.store.sqlite.store import FILE_NAME, SqliteConfig, SqliteStore

PACKAGE = Path(store.__file__).parent


def test_every_query_is_used_and_every_one_used_exists() -> None:
    used = set()
    for module in (store, connection):
        tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
        strings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
        used |= strings & set(queries())

    assert used == set(queries())


def test_every_query_says_why_it_is() -> None:
    assert [name for name, text in queries().items() if not text.startswith("-- ")] == []


def test_migrations_are_numbered_without_gaps() -> None:
    assert [step.number for step in migrations()] == list(range(1, len(migrations()) + 1))
    assert len(list((PACKAGE / "schema").glob("*.sql"))) == len(migrations())


def test_a_new_file_has_the_whole_schema_and_syncs_every_commit(tmp_path: Path) -> None:
    opened = connection.open_writer(tmp_path / "deep" / "state.db", 1.0)

    applied = opened.execute("SELECT number FROM migration ORDER BY number").fetchall()

    assert [number for (number,) in applied] == [step.number for step in migrations()]
    assert opened.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert opened.execute("PRAGMA synchronous").fetchone() == (2,)
    opened.close()


def test_a_schema_of_a_newer_release_is_refused(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    opened = connection.open_writer(path, 1.0)
    opened.execute("INSERT INTO migration VALUES (999, 'post', 'from_the_future')")
    opened.close()

    with pytest.raises(ConfigError, match="has schema 999, this release knows"):
        connection.open_writer(path, 1.0)


def test_a_schema_that_we_can_run_beside_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    opened = connection.open_writer(path, 1.0)
    opened.execute("INSERT INTO migration VALUES (999, 'pre', 'from_the_future')")
    opened.close()

    connection.open_writer(path, 1.0).close()


def test_a_file_that_is_no_database_is_refused_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"not a database, but long enough to be read as one" * 40)

    with pytest.raises(Permanent, match="restore a backup"):
        SqliteStore(SqliteConfig(), data_dir=tmp_path)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(Retryable, match="file"):
        SqliteStore(SqliteConfig(), data_dir=tmp_path / "file")


async def test_another_writer_in_the_way_gives_a_retryable_answer(tmp_path: Path) -> None:
    ours = SqliteStore(SqliteConfig(busy_timeout_s=0.01), data_dir=tmp_path)
    other = sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(Retryable, match="locked"):
        await ours.save([make.anomaly()])
    other.execute("ROLLBACK")

    assert await ours.save([make.anomaly()]) == 1
    other.close()
    await ours.close()


async def test_a_file_in_use_is_checked_as_it_is_now(tmp_path: Path) -> None:
    built = SqliteStore(SqliteConfig(), data_dir=tmp_path)
    await built.save([make.anomaly()])

    assert connection.damage(tmp_path / FILE_NAME) == []

    await built.close()


async def test_the_doctor_finds_a_sound_file_sound_and_a_torn_one_damaged(tmp_path: Path) -> None:
    built = SqliteStore(SqliteConfig(), data_dir=tmp_path)
    await built.save([make.anomaly(id=f"{start:032x}") for start in range(300)])
    await built.close()
    path = tmp_path / FILE_NAME
    assert connection.damage(path) == []
    beside = {one.name for one in tmp_path.iterdir()}  # noqa: ASYNC240 - nobody else waits here
    assert beside == {FILE_NAME}, "nothing may be left that another user cannot open"

    body = bytearray(path.read_bytes())
    body[8192 : 8192 + 4096] = bytes(4096)
    path.write_bytes(body)

    assert connection.damage(path)


@pytest.mark.parametrize("statement", ["DELETE FROM record", "UPDATE record SET body = x'00'"])
async def test_the_file_itself_keeps_the_trail_from_change(tmp_path: Path, statement: str) -> None:
    store = SqliteStore(SqliteConfig(), data_dir=tmp_path)
    await store.save([make.audit_entry(1)])
    await store.close()

    with sqlite3.connect(tmp_path / FILE_NAME) as foreign, pytest.raises(sqlite3.IntegrityError):
        foreign.execute(statement)
    foreign.close()
