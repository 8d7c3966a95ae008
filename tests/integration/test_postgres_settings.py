"""Which databases the store runs on, what it makes of them, and what others read there."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from bench.postgres import WITH_PASSWORD, Cluster, schema_of
from tests import make
from watchkeeper.app import running
from watchkeeper.cli import checks
from watchkeeper.cli.findings import Finding, State
from watchkeeper.config.loading import load
from watchkeeper.config.sections import Chosen
from watchkeeper.errors import ConfigError, Permanent, Retryable
from watchkeeper.model.anomaly import Anomaly, AnomalyStatus
from watchkeeper.model.series import Entity
from watchkeeper.store.postgres.queries import migrations
from watchkeeper.store.postgres.schema import migrate
from watchkeeper.store.postgres.server import PostgresConfig
from watchkeeper.store.sql import Migration
from watchkeeper.telemetry import Secret

SECRET = "hunter2-never-told"


@pytest.fixture(scope="module")
def cluster(cluster: Cluster) -> Cluster:
    cluster.execute(f"CREATE USER {WITH_PASSWORD} PASSWORD '{SECRET}'")
    cluster.execute("CREATE USER stranger")
    cluster.execute("CREATE USER guest")
    return cluster


def episodes(n: int, *, at: int = 1) -> list[Anomaly]:
    return [make.anomaly(id=f"{at}-{k}", started_ns=k, position=at) for k in range(n)]


# What cannot be right, and what can only be waited for.


@pytest.mark.parametrize(
    ("user", "database", "says"),
    [
        (f"{WITH_PASSWORD}:{SECRET[::-1]}", "postgres", "set user and password in store.url"),
        (WITH_PASSWORD, "postgres", "set user and password in store.url"),
        ("nobody", "postgres", "set user and password in store.url"),
        ("stranger", "postgres", "pg_hba"),
        ("tester", "none_such", "CREATE DATABASE"),
        ("tester", "postgres?sslmode=require", "sslmode"),
        ("guest", "postgres", "CREATE SCHEMA .* AUTHORIZATION"),
    ],
)
def test_an_address_that_cannot_be_right_is_refused_with_the_remedy(
    cluster: Cluster, tmp_path: Path, user: str, database: str, says: str
) -> None:
    url = f"postgresql://{user}@127.0.0.1:{cluster.port}/{database}"

    with pytest.raises(ConfigError, match=says) as caught:
        cluster.store(tmp_path, url=Secret(url))

    assert SECRET[::-1] not in f"{caught.value!r} {caught.value.__cause__!r}"


async def test_a_password_lets_in_and_is_never_shown(cluster: Cluster, tmp_path: Path) -> None:
    cluster.execute(f"CREATE SCHEMA {schema_of(tmp_path)} AUTHORIZATION {WITH_PASSWORD}")
    url = f"postgresql://{WITH_PASSWORD}:{SECRET}@127.0.0.1:{cluster.port}/postgres"

    store = cluster.store(tmp_path, url=Secret(url))

    assert await store.save(episodes(1)) == 1
    assert SECRET not in f"{store!r} {vars(store)!r} {cluster.config(tmp_path, url=Secret(url))!r}"
    await store.close()


async def test_a_password_that_was_changed_meanwhile_ends_no_process(
    cluster: Cluster, tmp_path: Path
) -> None:
    cluster.execute(f"CREATE SCHEMA {schema_of(tmp_path)} AUTHORIZATION {WITH_PASSWORD}")
    url = f"postgresql://{WITH_PASSWORD}:{SECRET}@127.0.0.1:{cluster.port}/postgres"
    store = cluster.store(tmp_path, url=Secret(url))
    cluster.execute(f"ALTER USER {WITH_PASSWORD} PASSWORD 'another'")

    with pytest.raises(Retryable, match="set user and password") as caught:
        await store.save(episodes(1))

    assert SECRET not in repr(caught.value)
    cluster.execute(f"ALTER USER {WITH_PASSWORD} PASSWORD '{SECRET}'")
    assert await store.save(episodes(1)) == 1
    await store.close()


async def test_a_server_that_does_not_sync_is_refused_unless_that_is_wanted(
    tmp_path: Path,
) -> None:
    with Cluster(durable=False) as careless:
        with pytest.raises(ConfigError, match=r"fsync 'off'.*store\.durable"):
            careless.store(tmp_path)

        store = careless.store(tmp_path, durable=False)

        assert await store.save(episodes(1)) == 1
        await store.close()


async def test_a_database_in_another_encoding_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    cluster.execute("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")

    with pytest.raises(ConfigError, match="keeps text as LATIN1"):
        cluster.store(tmp_path, url=Secret(cluster.url.replace("/postgres", "/latin")))


async def test_a_standby_is_waited_for(cluster: Cluster, tmp_path: Path) -> None:
    await cluster.store(tmp_path).close()
    read_only = f"{cluster.url}?options=-cdefault_transaction_read_only%3Don"
    store = cluster.store(tmp_path, url=Secret(read_only))

    with pytest.raises(Retryable, match="read-only"):
        await store.save(episodes(1))

    assert await store.events(0, 10) == []
    await store.close()


async def test_tables_that_are_gone_are_no_matter_of_waiting(
    cluster: Cluster, tmp_path: Path
) -> None:
    store = cluster.store(tmp_path)
    cluster.execute(f"DROP SCHEMA {schema_of(tmp_path)} CASCADE")

    with pytest.raises(Permanent, match=r"outbox_bounds.*restore a backup"):
        await store.save(episodes(1))

    await store.close()


# The schema.


async def test_a_user_who_may_only_write_rows_runs_on_a_schema_that_is_there(
    cluster: Cluster, tmp_path: Path
) -> None:
    await cluster.store(tmp_path).close()
    schema = schema_of(tmp_path)
    cluster.execute(f"GRANT USAGE ON SCHEMA {schema} TO guest")
    cluster.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA {schema} TO guest")

    store = cluster.store(tmp_path, url=Secret(cluster.url.replace("tester@", "guest@")))

    assert await store.save(episodes(1)) == 1
    await store.close()


@pytest.mark.parametrize(
    ("moment", "says"), [("post", "has schema 999, this release knows"), ("pre", None)]
)
async def test_a_schema_of_a_newer_release_is_refused_if_we_cannot_run_beside_it(
    cluster: Cluster, tmp_path: Path, moment: str, says: str | None
) -> None:
    await cluster.store(tmp_path).close()
    cluster.execute(f"INSERT INTO {schema_of(tmp_path)}.migration VALUES (999, '{moment}', 'x')")

    if says is None:
        await cluster.store(tmp_path).close()
    else:
        with pytest.raises(ConfigError, match=says):
            cluster.store(tmp_path)


def step(number: int, script: str, moment: str = "pre") -> Migration:
    """So many behind our own."""
    behind = max(one.number for one in migrations()) + number
    return Migration(behind, moment, f"step_{behind}", script)


def tables_after(cluster: Cluster, folder: Path, *known: Migration, finish: bool = False) -> str:
    """The tables of a release that has these migrations behind our own."""
    with cluster.server(folder).connect() as connection:
        migrate(connection, schema_of(folder), finish=finish, known=[*migrations(), *known])
        (found,) = connection.execute(
            "SELECT coalesce(string_agg(tablename, ' ' ORDER BY tablename), '') FROM pg_tables "
            "WHERE schemaname = current_schema() AND tablename LIKE 'new%'"
        ).fetchall()
    return str(found[0])


def test_an_upgrade_is_begun_at_a_start_and_finished_when_that_is_asked_for(
    cluster: Cluster, tmp_path: Path
) -> None:
    both = step(1, "CREATE TABLE new_a ()"), step(2, "ALTER TABLE new_a RENAME TO new_b", "post")

    found = [
        tables_after(cluster, tmp_path),
        tables_after(cluster, tmp_path, *both),
        tables_after(cluster, tmp_path, *both, finish=True),
        tables_after(cluster, tmp_path, *both),
    ]

    assert found == ["", "new_a", "new_b", "new_b"]


def test_an_upgrade_that_fails_half_way_has_changed_nothing(
    cluster: Cluster, tmp_path: Path
) -> None:
    good, bad = step(1, "CREATE TABLE new_a ()"), step(2, "CREATE TABLE new_a ()")
    tables_after(cluster, tmp_path)

    with pytest.raises(psycopg.errors.DuplicateTable):
        tables_after(cluster, tmp_path, good, bad)

    assert tables_after(cluster, tmp_path) == ""
    assert tables_after(cluster, tmp_path, good) == "new_a"


async def test_keys_can_be_partitioned_by_time(cluster: Cluster, tmp_path: Path) -> None:
    """As TimescaleDB's hypertables, PostgreSQL's partitions refuse a key without their column."""
    await cluster.store(tmp_path).close()

    cluster.execute(
        f"CREATE TABLE {schema_of(tmp_path)}.parted (LIKE {schema_of(tmp_path)}.record "
        "INCLUDING ALL) PARTITION BY RANGE (started_ns)"
    )


async def test_anomalies_are_read_as_rows_by_whoever_knows_sql(
    cluster: Cluster, tmp_path: Path
) -> None:
    store = cluster.store(tmp_path)
    opened = make.anomaly(id="a", entity=Entity(service="auth"), p_value=0.25)
    ended = make.anomaly(
        id="b",
        started_ns=make.START_NS + 1000,
        status=AnomalyStatus.CLOSED,
        ended_ns=make.START_NS + 5_000_000_000,
    )
    await store.save([opened, ended])

    rows = cluster.execute(
        "SELECT anomaly_id, service_name, timestamp, is_anomaly, anomaly_score, severity, resolved,"
        f" resolved_at, affected_metrics ->> 'metric' FROM {schema_of(tmp_path)}.anomalies"
        " ORDER BY timestamp"
    )

    start = datetime.fromtimestamp(make.START_NS / 1e9, UTC)
    assert rows == [
        ("a", "auth", start, True, 0.75, "evidence", False, None, "latency_seconds"),
        ("b", "checkout", start.replace(microsecond=1), True, 1 - 1e-6, "evidence", True,
         datetime.fromtimestamp(make.START_NS / 1e9 + 5, UTC), "latency_seconds"),
    ]  # fmt: skip
    await store.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE {}.record SET body = '' WHERE kind = 'audit'",
        "DELETE FROM {}.record",
        "TRUNCATE {}.record",
    ],
)
async def test_the_audit_trail_is_changed_by_nobody_who_speaks_sql(
    cluster: Cluster, tmp_path: Path, statement: str
) -> None:
    store = cluster.store(tmp_path)
    await store.save([make.audit_entry(1)])

    with pytest.raises(psycopg.errors.RaiseException, match="never changed or deleted"):
        cluster.execute(statement.format(schema_of(tmp_path)))

    await store.close()


# The doctor.


def told_of(settings: PostgresConfig, data_dir: Path) -> Finding:
    given = load(environment={}, flags={"data_dir": (str(data_dir), "--set")}).config
    (found,) = checks.peers(replace(given, store=Chosen("store", "postgres", settings)))
    return found


def test_the_doctor_says_where_a_database_is_and_changes_nothing_in_it(
    cluster: Cluster, tmp_path: Path
) -> None:
    found = told_of(cluster.config(tmp_path), tmp_path)

    assert (found.state, found.detail) == (State.OK, f"127.0.0.1:{cluster.port}/postgres answers")
    assert cluster.execute(f"SELECT to_regnamespace('{schema_of(tmp_path)}')") == [(None,)]


def test_the_doctor_says_why_a_database_cannot_be_used(cluster: Cluster, tmp_path: Path) -> None:
    url = Secret(f"host=127.0.0.1 port={cluster.port} user={WITH_PASSWORD} password={SECRET[::-1]}")

    found = told_of(cluster.config(tmp_path, url=url), tmp_path)

    assert (found.state, found.remedy) == (State.BAD, "set user and password in store.url")
    assert SECRET[::-1] not in found.detail


# TLS, as libpq's options in the address say.


@pytest.fixture
def encrypted(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster() as one:
        make_certificate(one.folder)
        one.execute("ALTER SYSTEM SET ssl = on")
        for name in ("cert", "key"):
            one.execute(f"ALTER SYSTEM SET ssl_{name}_file = '{one.folder / name}'")
        one.execute("SELECT pg_reload_conf()")
        yield one


def make_certificate(folder: Path) -> None:
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
               "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
               "subjectAltName=DNS:localhost", "-keyout", "key", "-out", "cert"]  # fmt: skip
    subprocess.run(command, check=True, cwd=folder, capture_output=True)
    for name in ("cert", "key"):
        shutil.copystat(folder / "data" / "PG_VERSION", folder / name)
        owner = folder.stat()
        os.chown(folder / name, owner.st_uid, owner.st_gid)


async def test_a_server_is_reached_over_tls_and_held_to_its_certificate(
    encrypted: Cluster, tmp_path: Path
) -> None:
    where = f"postgresql://tester@localhost:{encrypted.port}/postgres?sslmode=verify-full"
    known = f"&sslrootcert={encrypted.folder / 'cert'}"

    store = encrypted.store(tmp_path, url=Secret(f"{where}{known}&application_name=tls"))

    assert await store.save(episodes(1)) == 1
    assert encrypted.execute(
        "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) "
        "WHERE application_name = 'tls'"
    ) == [(True,)]
    await store.close()


@pytest.mark.parametrize(
    ("host", "root"), [("localhost", "system"), ("127.0.0.1", None)], ids=["authority", "name"]
)
async def test_a_server_that_is_not_the_one_meant_is_refused(
    encrypted: Cluster, tmp_path: Path, host: str, root: str | None
) -> None:
    known = root or encrypted.folder / "cert"
    url = f"postgresql://tester@{host}:{encrypted.port}/postgres?sslmode=verify-full"

    with pytest.raises(ConfigError, match="certificate"):
        encrypted.store(tmp_path, url=Secret(f"{url}&sslrootcert={known}"))


# The whole server over it.


async def test_two_servers_over_one_database_are_one_installation(
    cluster: Cluster, tmp_path: Path
) -> None:
    settings = cluster.config(tmp_path)
    chosen = Chosen("store", "postgres", settings)

    async with AsyncExitStack() as stack:
        stores = []
        for name in ("a", "b"):
            flags = {"data_dir": (str(tmp_path / name), "--set")}
            config = replace(load(environment={}, flags=flags).config, store=chosen)
            app = await stack.enter_async_context(running(config))
            stores.append(app.services.store)
        await stores[0].save(episodes(3))

        assert len(await stores[1].events(0, 10)) == 3

    keys = {(tmp_path / name / "installation.key").read_bytes() for name in ("a", "b")}
    assert len(keys) == 1
