"""What ``kcat -L -J`` prints, as a snapshot."""

import json
from copy import deepcopy
from typing import Any

import pytest

from healthd.model.json_reader import InputError
from healthd.model.kcat import is_kcat, kcat_snapshot
from healthd.model.words import BrokerState, EvidenceGroup


def listing() -> dict[str, Any]:
    """As kcat 1.7 prints it for a cluster of two brokers that has lost a third."""
    text = """{"originating_broker":{"id":1,"name":"b1:9092/1"},"query":{"topic":"*"},
        "controllerid":2,"brokers":[{"id":1,"name":"b1:9092"},{"id":2,"name":"b2:9092"}],
        "topics":[{"topic":"orders","partitions":[
            {"partition":0,"leader":1,"replicas":[{"id":1},{"id":2},{"id":3}],
             "isrs":[{"id":2},{"id":1}]},
            {"partition":1,"error":"Broker: Leader not available","leader":-1,
             "replicas":[{"id":3}],"isrs":[]}]}]}"""
    found = json.loads(text)
    assert isinstance(found, dict)
    return found


def test_a_listing_is_told_from_a_snapshot() -> None:
    assert is_kcat(listing())
    assert not is_kcat({"apiVersion": "healthd/v1"})
    assert not is_kcat({**listing(), "apiVersion": "healthd/v1"})
    assert not is_kcat([listing()])


def test_a_listing_gives_brokers_topics_and_nothing_else() -> None:
    snapshot = kcat_snapshot(listing())
    assert snapshot.cluster == "b1:9092/1"
    assert [(node.id, node.alive, node.host) for node in snapshot.brokers] == [
        (1, True, "b1:9092"),
        (2, True, "b2:9092"),
    ]
    assert {node.state for node in snapshot.brokers} == {BrokerState.UNKNOWN}
    (topic,) = snapshot.topics
    assert (topic.name, topic.min_insync_replicas) == ("orders", None)
    assert (topic.ids, topic.leaders) == ((0, 1), (1, -1))
    assert (topic.replicas, topic.isrs) == (((1, 2, 3), (3,)), ((2, 1), ()))
    assert snapshot.quorum is None
    assert snapshot.unlisted_holders == {3}


def test_configs_and_quorum_were_never_seen_and_the_rest_is_not_configured() -> None:
    assert kcat_snapshot(listing()).ages == {
        EvidenceGroup.METADATA: 0,
        EvidenceGroup.CONFIGS: None,
        EvidenceGroup.QUORUM: None,
    }


def test_configs_are_not_asked_for_when_somebody_says_the_minimum() -> None:
    assert kcat_snapshot(listing(), is_min_isr_assumed=True).ages == {
        EvidenceGroup.METADATA: 0,
        EvidenceGroup.QUORUM: None,
    }


def test_a_partition_in_sync_shares_its_replicas() -> None:
    found = listing()
    found["topics"][0]["partitions"][0]["isrs"] = [{"id": 3}, {"id": 2}, {"id": 1}]
    (topic,) = kcat_snapshot(found).topics
    assert topic.isrs[0] is topic.replicas[0]


@pytest.mark.parametrize(
    ("path", "value", "error"),
    [
        pytest.param(
            ["originating_broker"], 3, "originating_broker: must be an object", id="origin"
        ),
        pytest.param(
            ["originating_broker", "name"], None, "originating_broker.name: must be text", id="name"
        ),
        pytest.param(["brokers"], {}, "brokers: must be a list", id="brokers"),
        pytest.param(["brokers", 1, "id"], 1, "brokers[1].id: 1 is there twice", id="twice"),
        pytest.param(["brokers", 1, "id"], -1, "brokers[1].id: must be from 0", id="negative id"),
        pytest.param(["brokers", 0], 1, "brokers[0]: must be an object", id="a broker"),
        pytest.param(["topics", 0, "topic"], 1, "topics[0].topic: must be text", id="topic"),
        pytest.param(
            ["topics", 0, "partitions", 1, "partition"], 0,
            "topics[0].partitions[1].partition: 0 is there twice", id="partition twice",
        ),
        pytest.param(
            ["topics", 0, "partitions", 0, "leader"], -2,
            "topics[0].partitions[0].leader: must be from -1", id="leader",
        ),
        pytest.param(
            ["topics", 0, "partitions", 0, "isrs", 1, "id"], 2,
            "topics[0].partitions[0].isrs[1].id: 2 is there twice", id="isr twice",
        ),
        pytest.param(
            ["topics", 0, "partitions", 0, "replicas", 2], 3,
            "topics[0].partitions[0].replicas[2]: must be an object", id="replica",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_with_its_path(path: list[Any], value: Any, error: str) -> None:
    found = deepcopy(listing())
    place = found
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(InputError) as caught:
        kcat_snapshot(found)
    assert str(caught.value).startswith(error)


@pytest.mark.parametrize(
    ("path", "error"),
    [
        (["brokers"], "brokers: is required"),
        (["topics"], "topics: is required"),
        (["topics", 0, "topic"], "topics[0].topic: is required"),
        (["topics", 0, "partitions"], "topics[0].partitions: is required"),
        (["topics", 0, "partitions", 0, "isrs"], "topics[0].partitions[0].isrs: is required"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_is_missing_is_named(path: list[Any], error: str) -> None:
    found = listing()
    place = found
    for step in path[:-1]:
        place = place[step]
    del place[path[-1]]
    with pytest.raises(InputError) as caught:
        kcat_snapshot(found)
    assert str(caught.value) == error


def test_a_topic_that_could_not_be_listed_is_refused_and_not_taken_for_empty() -> None:
    found = listing()
    found["topics"][0].update(partitions=[], error="Broker: Topic authorization failed")
    with pytest.raises(InputError, match=r"topics\[0\]\.error: .*authorization failed"):
        kcat_snapshot(found)


def test_a_listing_of_one_topic_is_refused_and_not_taken_for_the_cluster() -> None:
    with pytest.raises(InputError, match=r"query\.topic: only topic orders is listed"):
        kcat_snapshot({**listing(), "query": {"topic": "orders"}})


@pytest.mark.parametrize("query", [None, {}, {"topic": "*"}, {"topic": None}])
def test_a_listing_that_names_no_topic_is_of_the_cluster(query: Any) -> None:
    assert len(kcat_snapshot({**listing(), "query": query}).topics) == 1


def test_topics_are_unique() -> None:
    found = listing()
    found["topics"] *= 2
    with pytest.raises(InputError, match=r"topics\[1\]\.topic: orders is there twice"):
        kcat_snapshot(found)
