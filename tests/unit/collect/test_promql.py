"""Queries to a Prometheus server, and whose page a sample is of."""

import json
from collections.abc import Mapping

import pytest

from healthd.collect.dialects import FAMILIES
from healthd.collect.promql import (
    QUERIES,
    Target,
    answer_of,
    give_samples,
    matchers_of,
    query_of,
)

ADDED = {"job": "kafka", "instance": "b1:9404", "name": "broker-1"}


def target(**more: str) -> Target:
    return Target(labels=ADDED | more, is_up=True, at=90.0)


def answer(*rows: tuple[Mapping[str, str], str, float | None]) -> bytes:
    result: list[object] = []
    for labels, value, time in rows:
        result.append({"metric": labels, "value": [100.0, value]})
        if time is not None:
            plain = {key: text for key, text in labels.items() if key != "__name__"}
            stamp = plain | {"healthd_sample": "time"}
            result.append({"metric": stamp, "value": [100.0, str(time)]})
    return json.dumps(
        {"status": "success", "data": {"resultType": "vector", "result": result}}
    ).encode()


def samples_of(target: Target, *rows: tuple[Mapping[str, str], str, float | None]) -> object:
    give_samples([target], answer_of(answer(*rows)))
    return target.samples


def test_every_family_is_asked_for_once() -> None:
    asked = [family for families in QUERIES.values() for family in families]
    assert sorted(asked) == sorted(FAMILIES)


def test_values_and_their_times_come_in_one_query() -> None:
    assert query_of(["a", "b"], {"x": ["1"]}) == (
        '{__name__=~"a|b",x=~"1"} or label_replace('
        'timestamp(a{x=~"1"}) or timestamp(b{x=~"1"}), "healthd_sample", "time", "", "")'
    )


@pytest.mark.parametrize(
    ("wanted", "instances", "found"),
    [
        pytest.param(
            [{"env": "p", "c": "a"}, {"env": "p", "c": "b"}],
            None,
            {"c": ("a", "b"), "env": ("p",)},
            id="what-all-have",
        ),
        pytest.param([{"c": "a"}, {"d": "b"}], None, {}, id="nothing-in-common"),
        pytest.param([{}, {}], ["y:1", "x:1"], {"instance": ("x:1", "y:1")}, id="instances"),
        pytest.param([{"c": "a"}], ["x:1"], {"c": ("a",)}, id="labels-do"),
        pytest.param([{}], [f"x:{at}" for at in range(201)], {}, id="too-many-instances"),
        pytest.param([], [], {"instance": ()}, id="nobody"),
    ],
)
def test_matchers_take_in_every_cluster(
    wanted: list[dict[str, str]],
    instances: list[str] | None,
    found: dict[str, tuple[str, ...]],
) -> None:
    assert matchers_of(wanted, instances) == found


def test_labels_that_prometheus_added_or_renamed_are_as_on_the_page() -> None:
    labels = {"__name__": "v", **ADDED, "exported_name": "BrokerState", "exported_x": "1"}
    assert samples_of(target(), (labels, "3", 95.0)) == {
        ("v", (("exported_x", "1"), ("name", "BrokerState"))): 3.0
    }


def test_a_sample_without_its_time_does_not_count() -> None:
    assert samples_of(target(), ({"__name__": "v", **ADDED}, "3", None)) == {}


def test_a_sample_of_no_target_is_left_out() -> None:
    other = {"__name__": "v", **ADDED, "instance": "b2:9404"}
    assert samples_of(target(), (other, "3", 95.0)) == {}


def test_a_sample_that_may_be_of_two_targets_is_of_none() -> None:
    both = [target(), target(replica="a")]
    give_samples(both, answer_of(answer(({"__name__": "v", **ADDED, "replica": "a"}, "3", 95.0))))
    assert [one.samples for one in both] == [{}, {}]


def test_a_page_is_as_old_as_its_oldest_sample() -> None:
    found = target()
    samples_of(
        found,
        ({"__name__": "v", **ADDED}, "3", 95.0),
        ({"__name__": "w", **ADDED, "a": "1"}, "3", 40.0),
    )
    assert found.oldest == 40.0


def test_a_native_histogram_is_passed_over() -> None:
    body = {"metric": {"__name__": "v"}, "histogram": [100.0, {}]}
    data = {"resultType": "vector", "result": [body]}
    assert answer_of(json.dumps({"status": "success", "data": data}).encode()).series == ()
