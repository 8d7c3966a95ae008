"""Templates of a service: when patterns are joined, what ids mean, and what there is room for."""

from __future__ import annotations

import pytest

from tests.templating import SHOP, S, batch, learned, shown, templates
from watchkeeper.model.row import texts
from watchkeeper.model.series import DEFAULT_TENANT, TenantId
from watchkeeper.model.template import OTHER, fingerprints, pattern, template_id

NAMES = ("ann", "bob", "cyd", "dan", "eve", "fay")


def fingerprint(line: str) -> int:
    return int(fingerprints(texts([line.encode()]))[0])


@pytest.mark.parametrize(
    ("rest", "n_names", "joined"),
    [
        ("started {}", 6, True),
        ("started {}", 5, False),
        ("session opened for user {}", 4, True),
        ("session opened for user {}", 3, False),
        ("session opened {}", 4, False),
        ("{}", 6, False),
        ("{}: 7", 6, False),
    ],
)
def test_words_are_values_where_enough_of_them_stand_in_one_place(
    rest: str, n_names: int, *, joined: bool
) -> None:
    found = shown(learned([rest.format(name) for name in NAMES[:n_names]]))

    assert found == (
        {rest.format("<*>"): n_names}
        if joined
        else {pattern(rest.format(name)): 1 for name in NAMES[:n_names]}
    )


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (["invalid user ann", "invalid user u7"], {"invalid user <*>": 2}),
        (["user ann", "user u7"], {"user ann": 1, "user <*>": 1}),
    ],
)
def test_a_word_is_a_value_where_a_number_stands_elsewhere(
    lines: list[str], found: dict[str, int]
) -> None:
    assert shown(learned(lines)) == found


def test_what_joined_some_joins_who_comes_later_at_once() -> None:
    made = learned([f"started {name}" for name in NAMES], ["something else"])

    made.take(batch(["started zoe"]))

    assert shown(made) == {"started <*>": 7, "something else": 1}


def test_templates_that_become_wider_are_succeeded_and_go_on_to_mean_what_they_meant() -> None:
    made = learned(
        [f"user {name} is now in group a" for name in NAMES],
        [f"user {name} is now in group {group}" for name in NAMES for group in "bcde"],
    )

    (now,) = made.templates(DEFAULT_TENANT)

    assert now.text == "user <*> is now in group <*>"
    assert now.id == template_id(now.text)
    former = template_id("user <*> is now in group a")
    assert former in now.succeeds
    assert made.fingerprints(DEFAULT_TENANT, former) == {
        fingerprint(f"user {name} is now in group a") for name in NAMES
    }
    assert len(made.fingerprints(DEFAULT_TENANT, now.id)) == 30


def test_services_and_tenants_learn_apart() -> None:
    made = templates()

    made.take(batch([f"started {name}" for name in NAMES[:3]]))
    made.take(batch([f"started {name}" for name in NAMES[3:]], service="bank"))
    made.take(batch(["started zoe"], tenant="other"))
    made.tick(S)

    assert {one.service for one in made.templates(DEFAULT_TENANT)} == {SHOP, "bank"}
    assert [one.text for one in made.templates(DEFAULT_TENANT, "bank")] == [
        "started dan",
        "started eve",
        "started fay",
    ]
    assert [one.text for one in made.templates(TenantId("other"))] == ["started zoe"]


def test_a_template_tells_how_many_lines_it_had_and_when() -> None:
    made = templates()

    made.take(batch(["user 7", "user 8"], time_ns=5 * S))
    made.take(batch(["user 9"], time_ns=3 * S))

    (one,) = made.templates(DEFAULT_TENANT)
    assert (one.n_lines, one.n_patterns) == (3, 1)
    assert (one.first_ns, one.last_ns) == (3 * S, 5 * S + 1)


def test_patterns_for_which_there_is_no_room_are_counted_as_other() -> None:
    made = learned(["a", "b", "c", "c", "a"], patterns_per_service=2)

    assert shown(made) == {"a": 2, "b": 1, "<other>": 2}
    assert made.templates(DEFAULT_TENANT)[-1].id == OTHER
    assert made.template_of(DEFAULT_TENANT, SHOP, fingerprint("c")) == OTHER


def test_services_for_which_there_is_no_room_in_a_partition_are_not_kept() -> None:
    made = templates(patterns_per_partition=2)
    made.take(batch(["a", "b", "c"]))

    made.take(batch(["d"], service="bank"))

    assert shown(made) == {"a": 1, "b": 1, "<other>": 1}


def test_patterns_that_no_line_has_any_more_make_room() -> None:
    made = learned(["old", "user 7"], [], ["user 8"], patterns_per_service=2, forget_s=220.0)
    made.tick(400 * S)

    made.take(batch(["young"]))

    assert shown(made) == {"user <*>": 2, "young": 1}


def test_a_service_of_which_nothing_is_left_is_forgotten() -> None:
    made = learned(["old"], forget_s=50.0)
    before = shown(made)

    made.tick(200 * S)

    assert before == {"old": 1}
    assert made.templates(DEFAULT_TENANT) == []
    assert made.dump(3) == templates().dump(3)


def test_ten_thousand_distinct_patterns_are_no_more_work_than_there_is_room() -> None:
    words = [
        f"{a}{b}{c}{d}"
        for a in "abcdefghij"
        for b in "klmnopqrst"
        for c in "uvwxyz"
        for d in "abcdefghijklmnop"
    ]

    made = learned([f"{word} of {word}" for word in words], patterns_per_service=50)

    assert len(made.templates(DEFAULT_TENANT)) == 51
    assert shown(made)["<other>"] == len(words) - 50


def test_an_empty_batch_changes_nothing() -> None:
    made = templates()

    made.take(batch([]))

    assert made.dump(3) == templates().dump(3)
