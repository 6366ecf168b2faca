"""MirrorMaker's metrics under the three names that they have."""

import math

import pytest

from healthd.collect.dialect_mirror import SCANNER, FlowPage, flow_page

PREFIX = "kafka_connect_mirror_mirrorsourceconnector"
SAMPLES = (
    ("replication_latency_ms_avg", 0, "1500.0"),
    ("replication_latency_ms_avg", 1, "NaN"),
    ("record_age_ms_avg", 0, "900.0"),
    ("record_count", 0, "7.0"),
    ("record_count", 1, "5.0"),
)
OURS = "".join(
    f'{PREFIX}_{name}{{partition="{number}",source="east",target="west",topic="east.a"}} {value}\n'
    for name, number, value in SAMPLES
)
STRIMZI = OURS.replace('source="east",target=', "destination=")
BEFORE_4_0 = OURS.replace('source="east",', "")
CATCH_ALL = OURS.replace("mirrorsourceconnector", "MirrorSourceConnector")
WHOLE = FlowPage(latency_seconds=1.5, record_age_seconds=0.9, records=12.0)


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(OURS, id="ours"),
        pytest.param(STRIMZI, id="strimzi"),
        pytest.param(BEFORE_4_0, id="without-source"),
        pytest.param(CATCH_ALL, id="catch-all"),
    ],
)
def test_every_dialect_says_the_same(page: str) -> None:
    assert flow_page(SCANNER.scan(page.encode()), source="east", target="west") == WHOLE


def test_the_flows_of_one_worker_are_told_apart() -> None:
    page = SCANNER.scan((OURS + OURS.replace('"east"', '"south"').replace("1500", "9000")).encode())
    assert flow_page(page, source="east", target="west") == WHOLE
    assert flow_page(page, source="south", target="west").latency_seconds == 9.0
    assert flow_page(page, source="east", target="north") == FlowPage()


def test_nothing_replicated_is_not_zero_latency() -> None:
    page = SCANNER.scan(OURS.replace("1500.0", "NaN").replace("900.0", "NaN").encode())
    found = flow_page(page, source="east", target="west")
    assert (found.latency_seconds, found.record_age_seconds) == (None, None)
    assert math.isfinite(found.records or 0.0)


def last_latency(partition: int, milliseconds: str) -> str:
    labels = f'partition="{partition}",source="east",target="west",topic="east.a"'
    return f"{PREFIX}_replication_latency_ms{{{labels}}} {milliseconds}\n"


def test_a_backlog_that_is_gone_is_gone_at_once() -> None:
    page = SCANNER.scan((OURS + last_latency(0, "20.0")).encode())
    assert flow_page(page, source="east", target="west").latency_seconds == 0.02


def test_the_last_latency_of_a_partition_without_traffic_tells_nothing() -> None:
    page = SCANNER.scan((OURS + last_latency(0, "20.0") + last_latency(1, "90000.0")).encode())
    assert flow_page(page, source="east", target="west").latency_seconds == 0.02


def test_failed_tasks_of_all_connectors_are_added_up() -> None:
    page = SCANNER.scan(
        b'kafka_connect_worker_connector_failed_task_count{connector="a"} 1.0\n'
        b'kafka_connect_worker_connector_failed_task_count{connector="b"} 2.0\n'
    )
    assert flow_page(page, source="east", target="west").failed_tasks == 3
