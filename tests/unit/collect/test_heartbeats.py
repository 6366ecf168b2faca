"""MirrorMaker's heartbeats, as bytes."""

import struct

import pytest

from healthd.collect.heartbeats import HeartbeatReader, HeartbeatUnread, heartbeat_seconds
from healthd.collect.mirror_offsets import replicated_offsets
from healthd.collect.observation import Origin
from healthd.collect.target import ClusterTarget


def key(source: str, target: str) -> bytes:
    return b"".join(
        struct.pack(">h", len(name)) + name for name in (source.encode(), target.encode())
    )


VALUE = struct.pack(">hq", 0, 1_700_000_000_500)


def test_the_time_in_a_heartbeat_is_in_milliseconds() -> None:
    seconds = heartbeat_seconds(key("west", "east"), VALUE, "east.heartbeats", "east")
    assert seconds == 1_700_000_000.5


@pytest.mark.parametrize(
    ("written_into", "counts"),
    [
        pytest.param("east", True, id="into-the-source"),
        pytest.param("west", False, id="into-this-cluster"),
    ],
)
def test_under_one_name_only_heartbeats_that_came_from_the_source_count(
    written_into: str,
    *,
    counts: bool,
) -> None:
    found = heartbeat_seconds(key("any", written_into), VALUE, "heartbeats", "east")
    assert (found is not None) is counts


@pytest.mark.parametrize(
    ("record_key", "value"),
    [
        pytest.param(None, None, id="tombstone"),
        pytest.param(key("a", "east"), b"\x00", id="short-value"),
        pytest.param(None, VALUE, id="no-key"),
        pytest.param(b"\x00\x05ea", VALUE, id="broken-key"),
        pytest.param(b"\xff\xff\xff\xff", VALUE, id="negative-length"),
    ],
)
def test_what_is_no_heartbeat_is_passed_over(record_key: bytes | None, value: bytes | None) -> None:
    assert heartbeat_seconds(record_key, value, "heartbeats", "east") is None


def test_nobody_there_is_a_reason_and_no_exception(unused_tcp_port: int) -> None:
    target = ClusterTarget(
        name="west",
        bootstrap_servers=(f"127.0.0.1:{unused_tcp_port}",),
        request_timeout_seconds=0.2,
    )
    reader = HeartbeatReader(target)
    flow = ("east.heartbeats", "east")
    try:
        look = reader.read([flow])[flow]
    finally:
        reader.close()
    assert isinstance(look, HeartbeatUnread)
    assert look.origin in set(Origin)


def test_offsets_of_the_source_are_the_next_to_replicate() -> None:
    def entry(cluster: str, topic: str, partition: object, offset: object) -> dict[str, object]:
        return {
            "partition": {"cluster": cluster, "topic": topic, "partition": partition},
            "offset": {"offset": offset},
        }

    answer = {
        "offsets": [
            entry("east", "orders", 0, 41),
            entry("south", "orders", 0, 7),
            entry("east", "orders", "1", 7),
            {"partition": {"cluster": "east", "topic": "t", "partition": 0}, "offset": None},
            "x",
        ]
    }
    assert replicated_offsets(answer, "east") == {("orders", 0): 42}


@pytest.mark.parametrize("odd", [None, [], {}, {"offsets": None}, {"offsets": {}}])
def test_an_odd_answer_has_no_offsets(odd: object) -> None:
    assert replicated_offsets(odd, "east") == {}
