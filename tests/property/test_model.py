"""What is always true of snapshots and their JSON form."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from support.safety_snapshots import clusters
from support.snapshots import snapshots

from healthd.model.json_reader import InputError
from healthd.model.order import natural_key
from healthd.model.parse import parse_snapshot, snapshot_of
from healthd.model.render import render_snapshot, render_time
from healthd.model.snapshot import Broker, ClusterSnapshot

calm = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
"""A busy machine is slow, and that proves nothing."""

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3)
)
TIMES = st.datetimes(
    datetime(1970, 1, 2),  # noqa: DTZ001  # The strategy adds the zone.
    datetime(2100, 1, 1),  # noqa: DTZ001
    timezones=st.builds(timezone, st.integers(-1439, 1439).map(lambda m: timedelta(minutes=m))),
)


@st.composite
def any_snapshots(draw: st.DrawFn) -> ClusterSnapshot:
    """Any snapshot, with names, times and extra of every kind."""
    extra = st.dictionaries(TEXT, st.dictionaries(TEXT, TEXT, max_size=2), max_size=2)
    return replace(
        draw(snapshots() | clusters()),
        cluster=draw(TEXT),
        observed_at=draw(TIMES),
        interval_seconds=draw(st.sampled_from([15.0, 0.25, 1e9])),
        reassignments=draw(st.none() | st.integers(0, 9)),
        extra=draw(st.none() | extra),
    )


@calm
@given(any_snapshots())
def test_a_snapshot_comes_back_from_its_json_form(snapshot: ClusterSnapshot) -> None:
    rendered = render_snapshot(snapshot)
    again = parse_snapshot(json.dumps(rendered))
    assert again == snapshot
    assert again.effective_ages == snapshot.effective_ages
    assert render_snapshot(again) == rendered
    assert parse_snapshot(json.dumps(rendered, ensure_ascii=False).encode()) == snapshot


@calm
@given(any_snapshots())
def test_only_what_is_known_is_written(snapshot: ClusterSnapshot) -> None:
    rendered = render_snapshot(snapshot)
    rendered.pop("ages", None)  # There null says that a group was never seen.
    assert "null" not in json.dumps({**rendered, "cluster": "", "extra": {}})


@calm
@given(clusters())
def test_partitions_in_sync_share_a_tuple_after_reading(snapshot: ClusterSnapshot) -> None:
    again = parse_snapshot(json.dumps(render_snapshot(snapshot)))
    for topic in again.topics:
        for replicas, isr in zip(topic.replicas, topic.isrs, strict=True):
            assert (isr is replicas) is (set(isr) == set(replicas))


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every member and item inside a JSON value."""
    found: list[tuple[Any, ...]] = []
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in inner:
        found.append((*path, key))
        if isinstance(item, dict | list):
            found += places(item, (*path, key))
    return found


def error_of(read: Callable[[], ClusterSnapshot]) -> InputError | None:
    """The refusal; None when the input was read. Any other exception is a failure."""
    try:
        read()
    except InputError as error:
        return error
    return None


@settings(calm, max_examples=200)
@given(clusters(), JSON, st.data())
def test_damage_is_refused_with_a_path_or_read_as_another_snapshot(
    snapshot: ClusterSnapshot, damage: Any, data: st.DataObject
) -> None:
    rendered = render_snapshot(snapshot)
    path = data.draw(st.sampled_from(places(rendered)))
    place: Any = rendered
    for step in path[:-1]:
        place = place[step]
    assume(place[path[-1]] != damage)
    place[path[-1]] = damage
    error = error_of(lambda: snapshot_of(rendered))
    if error is not None:
        # In the member that was damaged: the value itself, or another that no longer agrees.
        assert error.problem
        assert error.path.startswith(path[0])


@given(st.binary(max_size=60) | st.text(max_size=60) | JSON.map(json.dumps))
def test_nothing_but_an_input_error_comes_of_any_input(data: bytes | str) -> None:
    error = error_of(lambda: parse_snapshot(data))
    assert error is None or str(error).isprintable()


@given(TIMES)
def test_a_time_comes_back_from_its_text(moment: datetime) -> None:
    text = render_time(moment)
    assert text.endswith("Z")
    assert datetime.fromisoformat(text).astimezone(UTC) == moment


@given(st.lists(st.text(st.sampled_from("ab019-"), max_size=6), max_size=8))
def test_natural_order_is_total_and_tells_every_name_apart(names: list[str]) -> None:
    keys = {natural_key(name) for name in names}
    assert len(keys) == len(set(names))
    assert sorted(names, key=natural_key) == sorted(reversed(names), key=natural_key)  # noqa: C414  # Another order of the input is the point.


@given(st.text(st.sampled_from("ab-."), max_size=4), st.integers(0), st.integers(0))
def test_natural_order_follows_numbers(prefix: str, one: int, other: int) -> None:
    first, second = natural_key(f"{prefix}{one}"), natural_key(f"{prefix}{other}")
    assert (first < second) is (one < other)


def test_a_broker_of_which_little_is_known_is_written_with_that() -> None:
    snapshot = parse_snapshot(
        json.dumps(
            {
                "apiVersion": "healthd/v1",
                "kind": "ClusterSnapshot",
                "cluster": "c",
                "observedAt": "2026-01-01T00:00:00Z",
                "brokers": [{"id": 3, "alive": True}],
                "topics": [],
            }
        )
    )
    assert snapshot.brokers == (Broker(id=3, alive=True),)
    assert render_snapshot(snapshot)["brokers"] == [{"id": 3, "alive": True, "fenced": False}]
