"""Which cluster of a profile one client uses."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthd.client.route import Member, ResolveError, Route, choose, parse_route, route_json

CLIENTS = [f"client-{at}" for at in range(4000)]


def route(order: str = "preference", /, **weights: float) -> Route:
    return Route(
        profile="P",
        order=order,
        members=tuple(
            Member(
                cluster=name,
                bootstrap_servers=(f"{name}:9092",),
                security_protocol="SSL",
                weight_percent=weight,
            )
            for name, weight in weights.items()
        ),
    )


def used(found: Route) -> dict[str, str]:
    return {client: member.cluster for client in CLIENTS if (member := choose(found, client))}


def shares(found: Route) -> dict[str, float]:
    return {name: many / len(CLIENTS) for name, many in Counter(used(found).values()).items()}


def test_the_preferred_cluster_takes_all_clients() -> None:
    assert shares(route(east=100, west=100)) == {"east": 1.0}


def test_a_cluster_on_its_way_back_takes_its_share() -> None:
    assert shares(route(east=10, west=100)) == pytest.approx({"east": 0.1, "west": 0.9}, abs=0.02)


def test_the_last_one_is_taken_whatever_its_weight() -> None:
    assert shares(route(east=10)) == {"east": 1.0}


def test_equal_clusters_take_clients_in_proportion_to_their_weights() -> None:
    found = shares(route("equal", east=100, west=100, north=50))
    assert found == pytest.approx({"east": 0.4, "west": 0.4, "north": 0.2}, abs=0.03)


def test_without_a_cluster_a_client_keeps_what_it_has() -> None:
    assert choose(route(), "me") is None


@given(st.sampled_from(["preference", "equal"]), st.floats(1, 99), st.floats(0.1, 100))
def test_more_weight_moves_clients_only_towards_it(order: str, low: float, more: float) -> None:
    before = route(order, east=low, west=100, north=100)
    after = route(order, east=min(100.0, low + more), west=100, north=100)
    for client in CLIENTS[:60]:
        one, other = choose(before, client), choose(after, client)
        assert one is not None
        assert other is not None
        assert other.cluster in {one.cluster, "east"}


def test_a_cluster_that_goes_takes_only_its_own_clients_along() -> None:
    before, after = used(route("equal", a=100, b=100, c=100)), used(route("equal", a=100, b=100))
    assert all(after[client] == name for client, name in before.items() if name != "c")


def test_a_route_is_read_as_it_is_written() -> None:
    found = route(east=10, west=100)
    assert parse_route(json.dumps(route_json(found)).encode()) == found


def test_fields_that_it_does_not_know_are_passed_over() -> None:
    document = route_json(route(east=10)) | {"later": 1}
    document["members"][0]["more"] = {}
    assert parse_route(json.dumps(document).encode()) == route(east=10)


@pytest.mark.parametrize(
    "change",
    [
        {"order": "random"},
        {"members": None},
        {"members": [1]},
        {"members": [{"cluster": "a"}]},
        {"profile": ""},
    ],
)
def test_what_is_no_route_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ResolveError, match="no route of healthd"):
        parse_route(json.dumps(route_json(route(east=10)) | change).encode())


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'"x"', b"\xff", b"[" * 100_000])
def test_what_is_no_answer_of_healthd_is_refused(body: bytes) -> None:
    with pytest.raises(ResolveError):
        parse_route(body)


@pytest.mark.parametrize("weight", ["1", None, True, float("nan")])
def test_a_weight_that_is_no_number_is_refused(weight: object) -> None:
    document = route_json(route(east=10))
    document["members"][0]["weight"] = weight
    with pytest.raises(ResolveError):
        parse_route(json.dumps(document).encode())
