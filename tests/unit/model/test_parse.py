"""Strict reading of snapshots: what is accepted, and every refusal with its exact path."""

import json
from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from healthd.model.json_reader import InputError
from healthd.model.parse import parse_snapshot, snapshot_of
from healthd.model.snapshot import Probe, Voter
from healthd.model.words import BrokerState, EvidenceGroup, Excluded, QuorumMode, Role

EXAMPLE: dict[str, Any] = {
    "apiVersion": "healthd/v1",
    "kind": "ClusterSnapshot",
    "cluster": "payments",
    "observedAt": "2026-01-01T00:00:00Z",
    "intervalSeconds": 15,
    "brokers": [
        {
            "id": 1,
            "host": "b1",
            "rack": "az1",
            "alive": True,
            "state": "running",
            "fenced": False,
            "roles": ["broker", "controller"],
            "requestHandlerIdle": 0.83,
            "diskUsedRatio": 0.41,
            "offlineLogDirs": 0,
            "metricsAgeSeconds": 2.0,
            "version": "4.1.0",
        },
        {"id": 2, "alive": False},
    ],
    "quorum": {
        "mode": "kraft",
        "leaderId": 1,
        "fetchTimeoutMs": 2000,
        "absentSeconds": 0,
        "voters": [{"id": 1, "lastCaughtUpMs": 10000, "logEndOffset": 512}, {"id": 2}],
    },
    "topics": [
        {
            "name": "orders",
            "minInsyncReplicas": 2,
            "partitions": [
                {
                    "id": 0,
                    "leader": 1,
                    "replicas": [1, 2, 3],
                    "isr": [1, 2],
                    "adding": [3],
                    "removing": [1],
                    "elr": [3],
                    "leaderlessSeconds": 0,
                },
                {"id": 1, "leader": -1, "replicas": [1, 2], "isr": [2, 1]},
            ],
        },
        {"name": "", "excluded": "probe", "partitions": []},
    ],
    "reassignments": 0,
    "uncleanElections24h": 0,
    "unreachable": False,
    "probe": {"attempts": 20, "succeeded": 19},
    "ages": {"metadata": 1.0, "configs": 4.0, "quorum": None},
    "extra": {"connectors": {"a": [1, {"b": None}]}},
}
REMOVED = object()


def changed(path: list[Any], value: Any) -> dict[str, Any]:
    """The example with one value replaced, added or taken out."""
    found = deepcopy(EXAMPLE)
    place: Any = found
    for step in path[:-1]:
        place = place[step]
    if value is REMOVED:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return found


def error_of(path: list[Any], value: Any) -> str:
    with pytest.raises(InputError) as caught:
        snapshot_of(changed(path, value))
    return str(caught.value)


def test_the_example_of_the_contract_is_read_completely() -> None:
    snapshot = parse_snapshot(json.dumps(EXAMPLE))
    assert snapshot.cluster == "payments"
    assert snapshot.observed_at == datetime(2026, 1, 1, tzinfo=UTC)
    first, second = snapshot.brokers
    assert (first.host, first.rack, first.version) == ("b1", "az1", "4.1.0")
    assert (first.alive, first.fenced, first.state) == (True, False, BrokerState.RUNNING)
    assert first.roles == frozenset(Role)
    assert (first.request_handler_idle, first.disk_used_ratio) == (0.83, 0.41)
    assert (first.offline_log_dirs, first.metrics_age_seconds) == (0, 2)
    assert (second.state, second.fenced, second.roles) == (BrokerState.UNKNOWN, False, None)
    quorum = snapshot.quorum
    assert quorum is not None
    assert (quorum.mode, quorum.leader_id, quorum.fetch_timeout_ms) == (QuorumMode.KRAFT, 1, 2000)
    assert quorum.voters == (Voter(id=1, last_caught_up_ms=10000, log_end_offset=512), Voter(id=2))
    orders, empty = snapshot.topics
    assert (orders.min_insync_replicas, orders.excluded) == (2, None)
    assert (empty.name, empty.min_insync_replicas, empty.excluded) == ("", None, Excluded.PROBE)
    row = orders.partition(0)
    assert (row.replicas, row.isr, row.leader) == ((1, 2, 3), (1, 2), 1)
    assert [set(row.adding), set(row.removing), set(row.elr)] == [{3}, {1}, {3}]
    assert row.leaderless_seconds == 0
    assert orders.isrs[1] is orders.replicas[1]
    assert snapshot.probe == Probe(attempts=20, succeeded=19)
    assert snapshot.ages == {
        EvidenceGroup.METADATA: 1.0,
        EvidenceGroup.CONFIGS: 4.0,
        EvidenceGroup.QUORUM: None,
    }
    assert snapshot.extra == {"connectors": {"a": [1, {"b": None}]}}


def test_the_least_that_is_required_is_enough_and_the_rest_is_unknown() -> None:
    required = {"apiVersion", "kind", "cluster", "observedAt"}
    least = {key: EXAMPLE[key] for key in required} | {"brokers": [], "topics": []}
    snapshot = snapshot_of(least)
    assert (snapshot.brokers, snapshot.topics) == ((), ())
    assert snapshot.interval_seconds == 15
    for name in ("quorum", "probe", "ages", "extra", "reassignments", "unreachable"):
        assert getattr(snapshot, name) is None
    assert snapshot.unclean_elections_24h is None


OPTIONAL: list[list[Any]] = [
    *([key] for key in ("intervalSeconds", "quorum", "reassignments", "uncleanElections24h")),
    *([key] for key in ("unreachable", "probe", "ages", "extra")),
    *(["brokers", 0, key] for key in EXAMPLE["brokers"][0] if key not in {"id", "alive"}),
    *(["quorum", key] for key in EXAMPLE["quorum"] if key != "mode"),
    *(["quorum", "voters", 0, key] for key in ("lastCaughtUpMs", "logEndOffset")),
    ["topics", 0, "minInsyncReplicas"],
    ["topics", 1, "excluded"],
    *(
        ["topics", 0, "partitions", 0, key]
        for key in ("adding", "removing", "elr", "leaderlessSeconds")
    ),
]
REQUIRED: list[list[Any]] = [
    *([key] for key in ("apiVersion", "kind", "cluster", "observedAt", "brokers", "topics")),
    *(["brokers", 0, key] for key in ("id", "alive")),
    ["quorum", "mode"],
    ["quorum", "voters", 1, "id"],
    *(["topics", 0, key] for key in ("name", "partitions")),
    *(["topics", 0, "partitions", 1, key] for key in ("id", "leader", "replicas", "isr")),
    *(["probe", key] for key in ("attempts", "succeeded")),
]


def written(path: list[Any]) -> str:
    """A path as errors write it: ``topics[0].partitions[2].isr``."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


@pytest.mark.parametrize("path", OPTIONAL, ids=written)
def test_null_counts_as_absent(path: list[Any]) -> None:
    assert snapshot_of(changed(path, None)) == snapshot_of(changed(path, REMOVED))


@pytest.mark.parametrize("value", [None, REMOVED], ids=["null", "absent"])
@pytest.mark.parametrize("path", REQUIRED, ids=written)
def test_what_is_required_is_named_when_it_is_missing(path: list[Any], value: Any) -> None:
    assert error_of(path, value) == f"{written(path)}: is required"


@pytest.mark.parametrize(
    "path",
    [
        ["unknown"],
        ["brokers", 1, "Id"],
        ["quorum", "leader"],
        ["quorum", "voters", 0, "x"],
        ["topics", 0, "topic"],
        ["topics", 0, "partitions", 1, "isrs"],
        ["probe", "failed"],
        ["ages", "disk"],
    ],
    ids=written,
)
@pytest.mark.parametrize("value", [1, None], ids=["value", "null"])
def test_unknown_fields_are_refused(path: list[Any], value: Any) -> None:
    assert error_of(path, value) == f"{written(path)}: is no known field"


PARTITION: list[Any] = ["topics", 0, "partitions", 0]
WRONG: list[tuple[list[Any], Any, str]] = [
    (["apiVersion"], "healthd/v2", "must be healthd/v1"),
    (["kind"], "Wave", "must be ClusterSnapshot"),
    (["cluster"], 1, "must be text, not a number"),
    (["intervalSeconds"], 0, "must be above 0"),
    (["intervalSeconds"], -1, "must be at least 0"),
    (["brokers"], {}, "must be a list, not an object"),
    (["brokers", 0], [], "must be an object, not a list"),
    (["brokers", 0, "id"], True, "must be an integer, not a boolean"),
    (["brokers", 0, "id"], "1", "must be an integer, not text"),
    (["brokers", 0, "id"], 1.0, "must be an integer, not a number"),
    (["brokers", 0, "id"], -1, "must be from 0 to 2147483647"),
    (["brokers", 0, "id"], 2**31, "must be from 0 to 2147483647"),
    (["brokers", 1, "id"], 1, "1 is there twice"),
    (["brokers", 0, "alive"], 1, "must be true or false, not a number"),
    (["brokers", 0, "alive"], "true", "must be true or false, not text"),
    (["brokers", 0, "host"], ["b1"], "must be text, not a list"),
    (["brokers", 0, "fenced"], 0, "must be true or false, not a number"),
    (["brokers", 0, "roles"], "broker", "must be a list, not text"),
    (["brokers", 0, "roles", 1], "Broker", "must be one of broker, controller"),
    (["brokers", 0, "requestHandlerIdle"], -0.1, "must be at least 0"),
    (["brokers", 0, "requestHandlerIdle"], True, "must be a number, not a boolean"),
    (["brokers", 0, "requestHandlerIdle"], float("inf"), "must be finite"),
    (["brokers", 0, "requestHandlerIdle"], 10**400, "must be finite"),
    (["brokers", 0, "diskUsedRatio"], 1.01, "must be from 0 to 1"),
    (["brokers", 0, "offlineLogDirs"], 0.5, "must be an integer, not a number"),
    (["brokers", 0, "offlineLogDirs"], -1, "must be at least 0"),
    (["brokers", 0, "metricsAgeSeconds"], -1, "must be at least 0"),
    (["quorum"], [], "must be an object, not a list"),
    (["quorum", "mode"], "raft", "must be one of kraft, zookeeper"),
    (["quorum", "leaderId"], -2, "must be from -1 to 2147483647"),
    (["quorum", "fetchTimeoutMs"], 0.5, "must be an integer, not a number"),
    (["quorum", "absentSeconds"], -1, "must be at least 0"),
    (["quorum", "voters", 1, "id"], 1, "1 is there twice"),
    (["quorum", "voters", 0, "lastCaughtUpMs"], -2, "must be at least -1"),
    (["quorum", "voters", 0, "logEndOffset"], -2, "must be at least -1"),
    (["topics", 0, "name"], 7, "must be text, not a number"),
    (["topics", 1, "name"], "orders", "orders is there twice"),
    (["topics", 0, "minInsyncReplicas"], 0, "must be at least 1"),
    (["topics", 0, "excluded"], "internal", "must be one of probe, deleting"),
    (["topics", 0, "partitions", 1, "id"], 0, "0 is there twice"),
    ([*PARTITION, "leader"], -2, "must be from -1 to 2147483647"),
    ([*PARTITION, "replicas", 2], 1, "1 is there twice"),
    ([*PARTITION, "replicas", 2], -1, "must be from 0 to 2147483647"),
    ([*PARTITION, "isr", 1], 1, "1 is there twice"),
    ([*PARTITION, "isr"], 3, "must be a list, not a number"),
    ([*PARTITION, "isr", 0], None, "must be an integer, not null"),
    ([*PARTITION, "adding", 0], 4, "4 is not in replicas"),
    ([*PARTITION, "removing", 0], 4, "4 is not in replicas"),
    ([*PARTITION, "elr", 0], 4, "4 is not in replicas"),
    ([*PARTITION, "adding"], "", "must be a list, not text"),
    ([*PARTITION, "elr"], 0, "must be a list, not a number"),
    ([*PARTITION, "leaderlessSeconds"], "1", "must be a number, not text"),
    (["reassignments"], -1, "must be at least 0"),
    (["uncleanElections24h"], True, "must be an integer, not a boolean"),
    (["unreachable"], "no", "must be true or false, not text"),
    (["probe", "succeeded"], 21, "must be at most attempts"),
    (["probe", "attempts"], -1, "must be at least 0"),
    (["ages"], [], "must be an object, not a list"),
    (["ages", "metadata"], -0.5, "must be at least 0"),
    (["extra"], [], "must be an object, not a list"),
    (["extra", "lag"], 3, "must be an object, not a number"),
    (["extra", "connectors", "a"], [1.0, float("inf")], "must be finite"),
]


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [pytest.param(*row, id=f"{written(row[0])}={str(row[1])[:20]}") for row in WRONG],
)
def test_wrong_values_are_refused_with_their_path(
    path: list[Any], value: Any, problem: str
) -> None:
    place = written(path) + ("[1]" if path[0] == "extra" and isinstance(value, list) else "")
    place = place.removesuffix("[1]") if path == ["extra"] else place
    assert error_of(path, value) == f"{place}: {problem}"


def test_every_word_of_state_is_read() -> None:
    for state in BrokerState:
        snapshot = snapshot_of(changed(["brokers", 0, "state"], state.value))
        assert snapshot.brokers[0].state is state
    words = "starting, recovery, running, pending_controlled_shutdown, shutting_down"
    assert error_of(["brokers", 0, "state"], "RUNNING") == (
        f"brokers[0].state: must be one of {words}, not_running, unknown"
    )


ALLOWED: list[tuple[list[Any], Any, Callable[[Any], Any]]] = [
    (["brokers", 0, "id"], 2147483647, lambda s: s.brokers[0].id),
    (["brokers", 0, "requestHandlerIdle"], 1.92, lambda s: s.brokers[0].request_handler_idle),
    (["brokers", 0, "diskUsedRatio"], 1, lambda s: s.brokers[0].disk_used_ratio),
    (["brokers", 0, "host"], "", lambda s: s.brokers[0].host),
    (["quorum", "leaderId"], -1, lambda s: s.quorum.leader_id),
    (["quorum", "voters", 0, "lastCaughtUpMs"], -1, lambda s: s.quorum.voters[0].last_caught_up_ms),
    (["topics", 0, "minInsyncReplicas"], 99, lambda s: s.topics[0].min_insync_replicas),
    (["intervalSeconds"], 0.5, lambda s: s.interval_seconds),
    (["cluster"], "grüße \U0001f600", lambda s: s.cluster),
]


@pytest.mark.parametrize(
    ("path", "value", "read"), [pytest.param(*row, id=written(row[0])) for row in ALLOWED]
)
def test_values_at_their_limits_are_accepted(
    path: list[Any], value: Any, read: Callable[[Any], Any]
) -> None:
    assert read(snapshot_of(changed(path, value))) == value


def test_an_isr_may_name_brokers_that_are_dead_or_no_replicas() -> None:
    snapshot = snapshot_of(changed([*PARTITION, "isr"], [2, 9]))
    assert snapshot.topics[0].isrs[0] == (2, 9)


def test_an_unknown_source_of_extra_is_kept_and_null_is_none() -> None:
    assert snapshot_of(changed(["extra"], {"x": {"y": 1}, "z": None})).extra == {"x": {"y": 1}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-01T00:00:00Z", datetime(2026, 1, 1, tzinfo=UTC)),
        ("2026-01-01t00:00:00z", datetime(2026, 1, 1, tzinfo=UTC)),
        ("2026-01-01 00:00:00.5Z", datetime(2026, 1, 1, 0, 0, 0, 500000, tzinfo=UTC)),
        (
            "2026-01-01T00:00:00.123456789-03:30",
            datetime(2026, 1, 1, 0, 0, 0, 123456, tzinfo=timezone(-timedelta(hours=3, minutes=30))),
        ),
        ("2016-12-31T23:59:60Z", datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_times_are_rfc_3339(text: str, expected: datetime) -> None:
    assert snapshot_of(changed(["observedAt"], text)).observed_at == expected


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-01T00:00:00",
        "2026-01-01",
        "2026-01-01T00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:00:00+0100",
        "2026-01-01T00:00:00+24:00",
        "2026-01-01T00:00:00+05:60",
        "20260101T000000Z",
        "2026-01-01T00:00:00.Z",
        "٢٠٢٦-01-01T00:00:00Z",
        " 2026-01-01T00:00:00Z",
        "now",
        "",
    ],
)
def test_other_times_are_refused(text: str) -> None:
    assert error_of(["observedAt"], text).startswith("observedAt: ")


def test_a_path_inside_another_document_starts_with_its_place() -> None:
    with pytest.raises(InputError) as caught:
        snapshot_of(changed(["brokers", 0, "id"], "x"), at="snapshot")
    assert caught.value.path == "snapshot.brokers[0].id"
