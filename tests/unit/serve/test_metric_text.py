"""The page of /metrics against prometheus_client's own, to the byte, in each format."""

from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from support.daemon import (
    InMemoryDaemon,
    broker_down,
    cluster_view,
    snapshot_of_cluster,
    wave_state,
)

from healthd.serve.metrics import Exposition, FleetCollector, observe
from healthd.waves.dora import Deployment
from healthd.waves.state import WaveStatus

ODD = 'a"b\\c\nd'
ACCEPTS = [
    pytest.param("", id="plain"),
    pytest.param("text/plain;version=1.0.0;escaping=allow-utf-8", id="plain-utf-8"),
    pytest.param(
        "application/openmetrics-text;version=1.0.0;escaping=underscores", id="openmetrics"
    ),
    pytest.param("application/openmetrics-text", id="openmetrics-without-version"),
]


@pytest.fixture
def daemon() -> InMemoryDaemon:
    daemon = InMemoryDaemon()
    daemon.views = {
        "payments": cluster_view("payments", snapshot_of_cluster("payments")),
        "ill": cluster_view("ill", snapshot_of_cluster("ill", **broker_down(3))),
    }
    daemon.put(wave_state())
    counters = daemon.counters
    counters.collections = {"payments": {"cluster": 3, ODD: 1}}
    counters.failures = {"ill": {(ODD, "ours", "timeout"): 2}}
    counters.gate_closed_seconds = {"BROKER_DOWN": 12.5}
    counters.restart_seconds = {"stopping": [0.5, 3.0, 5000.0], "starting": [1e7]}
    counters.loop_ticks = {"collect": 1767268800.123}
    counters.deployments = {"succeeded": 2}
    counters.deployed = {
        "w0": Deployment(
            wave="w0", cluster="payments", requested_at=0.0, ended_at=3_000.0,
            outcome=WaveStatus.SUCCEEDED, restores=(45.0,),
        )
    }  # fmt: skip
    return daemon


def ours(exposition: Exposition, daemon: InMemoryDaemon, accept: str) -> str:
    """Our families of the page; those of the process differ from moment to moment."""
    page = exposition.render(observe(daemon), accept)[0].decode()
    if "openmetrics" in accept:
        assert page.endswith("# EOF\n")
    return page.partition("# HELP process_")[0]


def by_the_library(daemon: InMemoryDaemon, accept: str) -> str:
    registry = CollectorRegistry()
    registry.register(FleetCollector(observe(daemon)))
    encode, _ = choose_encoder(accept)
    return encode(registry).decode().removesuffix("# EOF\n")


@pytest.mark.parametrize("accept", ACCEPTS)
def test_the_page_is_the_library_s_to_the_byte(daemon: InMemoryDaemon, accept: str) -> None:
    assert ours(Exposition(), daemon, accept) == by_the_library(daemon, accept)


def test_what_is_published_anew_is_shown_and_what_has_left_is_not(daemon: InMemoryDaemon) -> None:
    exposition = Exposition()
    ours(exposition, daemon, "")
    daemon.views["payments"] = replace(daemon.views["payments"], durations={"metadata": 2.5})
    del daemon.views["ill"]
    page = ours(exposition, daemon, "")
    assert page == by_the_library(daemon, "")
    assert 'source="metadata"} 2.5\n' in page
