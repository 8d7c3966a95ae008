"""What the PostgreSQL store decides without a server: texts, migrations, faults, what to write."""

from __future__ import annotations

import ast
import math
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import make
from watchkeeper.errors import ConfigError, Retryable
from watchkeeper.store import postgres, records
from watchkeeper.store.base import Occupied
from watchkeeper.store.postgres import schema
from watchkeeper.store.postgres.plan import Limits, Stored, plan
from watchkeeper.store.postgres.queries import migrations, queries
from watchkeeper.store.postgres.server import PostgresConfig, Server
from watchkeeper.store.postgres.texts import kept, meant, shown
from watchkeeper.store.records import Row
from watchkeeper.store.sql import Migration
from watchkeeper.telemetry import Secret

PACKAGE = Path(str(postgres.__file__)).parent
FIT = {"fsync": "on", "synchronous_commit": "on", "server_encoding": "UTF8"}
NOTHING = Stored(oldest=1, last=0, known={}, n_records={})
ROOMY = Limits(n_records=100, n_events=100)
TEXTS = st.text(st.sampled_from("a\0\x1a01é"), max_size=6)


def row(key: str = "a", position: int = 1, **fields: object) -> Row:
    return records.row(make.anomaly(id=key, position=position, **fields))


def stored(rows: list[Row], **fields: object) -> Stored:
    known = {one.identity: (one.version, one.body) for one in rows}
    return replace(NOTHING, known=known, **fields)  # type: ignore[arg-type]


# Its SQL.


def test_every_query_is_used_and_every_one_used_exists() -> None:
    used = {
        node.value
        for module in PACKAGE.glob("*.py")
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }

    assert set(queries()) - used == set()


def test_every_query_says_why_it_is() -> None:
    assert [name for name, text in queries().items() if not text.startswith("-- ")] == []


def test_migrations_are_numbered_without_gaps_and_marked() -> None:
    assert [step.number for step in migrations()] == list(range(1, len(migrations()) + 1))
    assert len(list((PACKAGE / "schema").glob("*.sql"))) == len(migrations())


# Texts.


@given(TEXTS)
def test_any_text_is_kept_without_nul_and_meant_as_it_was(text: str) -> None:
    assert "\0" not in kept(text)
    assert meant(kept(text)) == text


@given(TEXTS, TEXTS)
def test_different_texts_are_kept_as_different_ones(one: str, other: str) -> None:
    assert (kept(one) == kept(other)) == (one == other)


def test_a_usual_text_is_kept_as_it_is() -> None:
    assert kept("checkout \\ ü\n") == "checkout \\ ü\n"


def test_a_band_that_is_open_to_one_side_is_shown_as_null() -> None:
    text = shown(row(expected_high=math.inf, p_value=0.25))

    assert text is not None
    fields = msgspec.json.decode(text)
    assert (fields["expected_high"], fields["p_value"]) == (None, 0.25)


def test_what_is_shown_holds_no_nul_and_keeps_a_text_that_speaks_of_one() -> None:
    text = shown(row(labels={"a\0": "\0", "b": r"\u0000"}))

    assert text is not None
    assert msgspec.json.decode(text)["labels"] == {"a\ufffd": "\ufffd", "b": r"\u0000"}


def test_of_keys_and_users_nothing_is_shown() -> None:
    assert [shown(records.row(one)) for one in (make.api_key("a"), make.user("ann"))] == [
        None,
        None,
    ]


# Whether a server will do.


def test_a_server_that_keeps_what_it_is_given_is_fit() -> None:
    assert schema.unfit(150_018, FIT, durable=True) == []


@pytest.mark.parametrize(
    ("version", "settings", "says"),
    [
        (130_011, {}, "is version 13; install PostgreSQL 14 or newer"),
        (160_001, {"server_encoding": "LATIN1"}, "keeps text as LATIN1"),
        (160_001, {"fsync": "off"}, "has fsync 'off'"),
        (160_001, {"synchronous_commit": "off"}, "has synchronous_commit 'off'"),
    ],
)
def test_a_server_that_will_not_do_is_told_with_the_remedy(
    version: int, settings: dict[str, str], says: str
) -> None:
    (fault,) = schema.unfit(version, FIT | settings, durable=True)

    assert says in fault


def test_all_faults_of_a_server_are_told_at_once() -> None:
    faults = schema.unfit(90_600, dict.fromkeys(FIT, "off"), durable=True)

    assert len(faults) == 4


def test_who_does_not_insist_on_durability_may_have_a_server_without() -> None:
    settings = FIT | {"fsync": "off", "synchronous_commit": "off"}

    assert schema.unfit(150_000, settings, durable=False) == []


@pytest.mark.parametrize("commits", ["local", "remote_write", "remote_apply"])
def test_stronger_and_local_commits_are_durable(commits: str) -> None:
    assert schema.unfit(150_000, FIT | {"synchronous_commit": commits}, durable=True) == []


# Migrations.


def steps(*moments: str) -> list[Migration]:
    return [Migration(n, moment, f"step_{n}", "") for n, moment in enumerate(moments, start=1)]


def numbers(found: object) -> list[int]:
    return [one.number for one in found]  # type: ignore[attr-defined]


def test_a_new_schema_gets_all_migrations_at_once() -> None:
    assert numbers(schema.due({}, steps("pre", "post", "pre"), finish=False)) == [1, 2, 3]


def test_nothing_is_due_where_all_was_applied() -> None:
    assert schema.due({1: "pre", 2: "post"}, steps("pre", "post"), finish=True) == []


def test_what_the_release_before_cannot_run_beside_waits_until_it_is_asked_for() -> None:
    known = steps("pre", "pre", "post")

    assert numbers(schema.due({1: "pre"}, known, finish=False)) == [2]
    assert numbers(schema.due({1: "pre"}, known, finish=True)) == [2, 3]


def test_an_upgrade_that_was_never_finished_bars_the_next_one() -> None:
    with pytest.raises(ConfigError, match=r"past schema 2, .* store.finish_upgrade true"):
        schema.due({1: "pre"}, steps("pre", "post", "pre"), finish=False)


def test_a_schema_that_a_newer_release_has_finished_is_refused() -> None:
    with pytest.raises(ConfigError, match="has schema 3, this release knows 1; run the newer"):
        schema.due({1: "pre", 2: "pre", 3: "post"}, steps("pre"), finish=False)


def test_a_newer_schema_that_we_can_run_beside_is_accepted() -> None:
    assert schema.due({1: "pre", 2: "pre"}, steps("pre"), finish=False) == []


# What a save writes.


def test_every_version_is_told_and_the_last_one_is_stored() -> None:
    opened, worse = row(position=1), row(position=2)

    planned = plan([opened, worse], NOTHING, ROOMY)

    assert (planned.latest, planned.told) == ([worse], [opened, worse])
    assert (planned.last, planned.n_changed) == (2, 2)


def test_a_record_is_counted_once_however_often_it_changes() -> None:
    rows = [row(position=1), row(position=2), row("b")]

    planned = plan(rows, replace(NOTHING, n_records={("anomaly", "default"): 7}), ROOMY)

    assert planned.n_records == {("anomaly", "default"): 9}


def test_a_record_that_is_there_is_not_counted_again() -> None:
    planned = plan([row(position=2)], stored([row()]), ROOMY)

    assert (planned.n_changed, planned.n_records) == (1, {})


def test_saving_the_same_again_writes_nothing() -> None:
    planned = plan([row()], stored([row()], last=5), ROOMY)

    assert (planned.n_changed, planned.last, planned.latest, planned.told) == (0, 5, [], [])


def test_what_is_not_announced_takes_no_number() -> None:
    planned = plan([records.row(make.api_key("a"))], replace(NOTHING, last=5), ROOMY)

    assert (planned.n_changed, planned.last, planned.told) == (1, 5, [])


def test_an_entry_of_the_trail_that_would_change_is_refused() -> None:
    entry = records.row(make.audit_entry(1, action="key.create"))

    with pytest.raises(Occupied):
        plan([records.row(make.audit_entry(1, action="key.revoke"))], stored([entry]), ROOMY)


@pytest.mark.parametrize(("n_there", "excess"), [(100, 0), (101, 0), (102, 3)])
def test_a_full_store_makes_room_in_portions(n_there: int, excess: int) -> None:
    group = ("anomaly", "default")

    planned = plan([row()], replace(NOTHING, n_records={group: n_there}), ROOMY)

    assert planned.excess.get(group, 0) == excess


@pytest.mark.parametrize(("last", "oldest"), [(100, 1), (101, 1), (102, 4)])
def test_a_full_outbox_keeps_as_many_as_its_limit(last: int, oldest: int) -> None:
    planned = plan([row()], replace(NOTHING, last=last), ROOMY)

    assert (planned.last, planned.oldest) == (last + 1, oldest)


# Secrets.


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:hunter2@127.0.0.1:no-port-hunter2/db?what=hunter2",
        "http://hunter2",
        "host=a password=hunter2 nonsense=hunter2",
        "postgresql://u:half@hunter2@127.0.0.1:1/db",
        "postgresql://u:hunter2/half@127.0.0.1:1/db",
        "postgresql://u@127.0.0.1:hunter2/db",
        "postgresql://u@127.0.0.1:1/db?sslmode=hunter2",
    ],
)
def test_an_address_that_is_none_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Server(PostgresConfig(url=Secret(url))).prepare()

    assert "hunter2" not in f"{caught.value!r} {caught.value.__cause__!r}"
    assert "postgresql://" in str(caught.value)


def test_a_server_that_is_away_is_named_without_its_password() -> None:
    config = PostgresConfig(url=Secret("postgresql://u:hunter2@127.0.0.1:1/state"))

    with pytest.raises(Retryable, match=r"127\.0\.0\.1:1/state: .*refused") as caught:
        Server(config).prepare()

    assert "hunter2" not in f"{caught.value!r} {caught.value.__cause__!r} {config!r}"
