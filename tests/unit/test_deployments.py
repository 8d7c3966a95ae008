"""Which deployment explains what begins after it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import make
from watchkeeper.analyze.deployments import KEPT_NS, Deployment, is_after, reason
from watchkeeper.analyze.rulings import Rulings
from watchkeeper.model.series import DEFAULT_TENANT, Entity, TenantId

QUIET_NS = 900
SHOP = Entity(service="shop")


def deployment(first_ns: int = 1_000, last_ns: int | None = None, **fields: Any) -> Deployment:
    usual: dict[str, Any] = {
        "id": f"d{first_ns}",
        "tenant": DEFAULT_TENANT,
        "service": "shop",
        "environment": "",
        "version": "v2",
        "first_ns": first_ns,
        "last_ns": first_ns if last_ns is None else last_ns,
    }
    return Deployment(**{**usual, **fields})


def why(
    *known: Deployment, at: int, entity: Entity = SHOP, tenant: TenantId = DEFAULT_TENANT
) -> str:
    return reason(known, tenant, entity, began_ns=at, quiet_ns=QUIET_NS)


@pytest.mark.parametrize(
    ("at", "is_explained"),
    [
        pytest.param(999, False, id="just before"),
        pytest.param(1_000, True, id="as it begins"),
        pytest.param(1_300, True, id="while it goes on"),
        pytest.param(1_500, True, id="as it ends"),
        pytest.param(2_399, True, id="last of the quiet time"),
        pytest.param(2_400, False, id="as the quiet time is over"),
    ],
)
def test_what_begins_from_its_first_telling_to_a_while_after_its_last_is_explained(
    at: int, is_explained: bool
) -> None:
    said = why(deployment(1_000, 1_500), at=at)

    assert said == ("after_deploy: v2 of shop" if is_explained else "")
    assert is_after(said) is is_explained


@pytest.mark.parametrize(
    ("deployed", "asked", "is_theirs"),
    [
        ("", "", True),
        ("", "production", True),
        ("production", "", True),
        ("production", "production", True),
        ("staging", "production", False),
        ("production", "Production", False),
    ],
)
def test_who_does_not_say_an_environment_may_be_in_any(
    deployed: str, asked: str, is_theirs: bool
) -> None:
    one = deployment(environment=deployed)

    entity = Entity(service="shop", environment=asked)
    assert one.concerns(DEFAULT_TENANT, entity) is is_theirs
    assert bool(why(one, at=1_000, entity=entity)) is is_theirs


@pytest.mark.parametrize(
    ("tenant", "service"), [("acme", "shop"), (DEFAULT_TENANT, "cart"), (DEFAULT_TENANT, "")]
)
def test_what_is_deployed_elsewhere_explains_nothing_here(tenant: str, service: str) -> None:
    assert why(deployment(tenant=tenant, service=service), at=1_000) == ""


@pytest.mark.parametrize(
    ("known", "want"),
    [
        pytest.param([], "", id="none"),
        pytest.param([deployment(version="")], "shop", id="without a version"),
        pytest.param(
            [deployment(900, version="old"), deployment(1_000, version="new")],
            "new of shop",
            id="the newer",
        ),
        pytest.param(
            [deployment(1_000, version="new"), deployment(900, version="old")],
            "new of shop",
            id="the newer in any order",
        ),
        pytest.param(
            [deployment(900, 1_100, version="ends later"), deployment(1_000, version="begins")],
            "ends later of shop",
            id="newest is who was told of last",
        ),
        pytest.param(
            [deployment(id="a", version="one"), deployment(id="b", version="two")],
            "two of shop",
            id="of equals the last by name",
        ),
        pytest.param(
            [deployment(1_000, version="ours"), deployment(1_050, service="cart")],
            "ours of shop",
            id="the newest of theirs",
        ),
        pytest.param(
            [deployment(1_000, version="now"), deployment(5_000, version="to come")],
            "now of shop",
            id="none that is to come",
        ),
    ],
)
def test_the_newest_of_theirs_is_named(known: list[Deployment], want: str) -> None:
    said = why(*known, at=1_100)

    assert said == (f"after_deploy: {want}" if want else "")


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("after_deploy: v2 of shop", True),
        ("after_deploy", False),
        ("maintenance: after_deploy: v2", False),
        ("expected: every week at this time", False),
        ("", False),
    ],
)
def test_a_reason_says_itself_whether_it_is_a_deployment(text: str, want: bool) -> None:
    assert is_after(text) is want


@pytest.mark.parametrize(
    ("service", "entity", "want"),
    [
        ("shop", Entity(), "shop"),
        ("shop", Entity(service="checkout"), "checkout"),
        ("", Entity(service="checkout"), "checkout"),
        ("", Entity(), ""),
    ],
)
def test_of_a_change_the_service_is_the_entitys_or_what_its_sender_said(
    service: str, entity: Entity, want: str
) -> None:
    made = Deployment.of(make.change(service=service, entity=entity, time_ns=77))

    assert (made.service, made.first_ns, made.last_ns) == (want, 77, 77)


@settings(max_examples=20, deadline=None)
@given(st.permutations([3, 7, 7, 1, 9]), st.sampled_from([0, 1, 63]))
def test_however_its_tellings_come_a_deployment_lasts_from_the_first_to_the_last(
    times: list[int], partition: int
) -> None:
    rulings = Rulings()

    for time_ns in times:
        rulings.deploy(deployment(time_ns, id="same", version=f"v{time_ns}"), partition)

    [kept] = rulings.deployed(partition)
    assert (kept.first_ns, kept.last_ns, kept.version) == (1, 9, f"v{times[-1]}")


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20)), max_size=8),
    st.integers(0, 120),
    st.integers(0, 40),
)
def test_something_is_explained_where_any_deployment_reaches_it(
    spans: list[tuple[int, int]], at: int, quiet_ns: int
) -> None:
    known = [deployment(first, first + lasts, id=str(n)) for n, (first, lasts) in enumerate(spans)]

    said = reason(known, DEFAULT_TENANT, SHOP, began_ns=at, quiet_ns=quiet_ns)

    assert bool(said) == any(first <= at < first + n + quiet_ns for first, n in spans)


@pytest.mark.parametrize(("late_ns", "is_kept"), [(0, True), (KEPT_NS, True), (KEPT_NS + 1, False)])
def test_a_deployment_is_remembered_for_two_days_from_its_last_telling(
    late_ns: int, is_kept: bool
) -> None:
    rulings = Rulings()
    rulings.deploy(deployment(1_000, 1_500), 5)

    rulings.tick(1_500 + late_ns)

    assert rulings.knows_deployments is is_kept
    assert bool(list(rulings.deployed(5))) is is_kept
