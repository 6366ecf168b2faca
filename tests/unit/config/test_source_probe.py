"""`probe` and `logDirs` of a cluster in the fleet file, and what they turn on."""

from collections.abc import Callable
from pathlib import Path

import pytest

from healthd.collect.sides import sides_of
from healthd.collect.target import ClusterTarget
from healthd.config.fleet import ClusterConfig
from healthd.config.fleet_file import load_fleet
from healthd.config.problems import ConfigError
from healthd.config.source_probe import PROBE_TOPIC, ProbeConfig

WriteFile = Callable[..., Path]
FLEET = """apiVersion: healthd/v1
kind: Fleet
clusters:
  - name: payments
    bootstrapServers: ["b1.example.net:9092"]
"""


def cluster(write: WriteFile, more: str = "", interval: float = 15.0) -> ClusterConfig:
    (found,) = load_fleet(write("fleet.yaml", FLEET + more), interval_seconds=interval).clusters
    return found


def sources(config: ClusterConfig) -> list[str]:
    return [side.source.value for side in sides_of(config, ClusterTarget.of(config))]


def refused(write: WriteFile, more: str) -> str:
    with pytest.raises(ConfigError) as raised:
        cluster(write, more)
    (problem,) = raised.value.problems
    return str(problem)


def test_without_a_word_disks_are_asked_for_and_nothing_is_probed(write: WriteFile) -> None:
    config = cluster(write)
    assert sources(config) == ["logDirs"]
    target = ClusterTarget.of(config)
    assert not target.is_probed
    assert not target.counts_log_dirs_alone
    # Another healthd may probe the cluster: its topic is not the cluster's either.
    assert target.probe_topic == PROBE_TOPIC


def test_an_empty_probe_takes_the_defaults_and_a_null_one_is_none(write: WriteFile) -> None:
    config = cluster(write, "    probe: {}\n")
    assert config.probe == ProbeConfig(topic=PROBE_TOPIC, interval_seconds=None)
    assert sources(config) == ["logDirs", "probe"]
    assert ClusterTarget.of(config).is_probed
    assert cluster(write, "    probe: null\n").probe is None


def test_the_topic_and_the_interval_can_be_chosen(write: WriteFile) -> None:
    config = cluster(write, "    probe: {topic: platform.healthd.probe, intervalSeconds: 10}\n")
    assert config.probe == ProbeConfig(topic="platform.healthd.probe", interval_seconds=10)
    assert ClusterTarget.of(config).probe_topic == "platform.healthd.probe"


@pytest.mark.parametrize(
    ("topic", "why"),
    [
        ("orders", "must have healthd in its name"),
        ("healthd probe", "is no name of a topic"),
        ('"' + 250 * "healthd" + '"', "is no name of a topic"),
    ],
)
def test_a_topic_that_may_be_somebody_elses_is_refused(
    write: WriteFile, topic: str, why: str
) -> None:
    told = refused(write, f"    probe: {{topic: {topic}}}\n")
    assert "fleet.yaml:6:" in told
    assert "clusters[0].probe.topic" in told
    assert why in told


def test_a_probe_that_would_be_stale_between_its_rounds_is_refused(write: WriteFile) -> None:
    told = refused(write, "    probe: {intervalSeconds: 60}\n")
    assert "clusters[0].probe.intervalSeconds" in told
    assert "longer than the daemon's interval (15 s)" in told
    assert cluster(write, "    probe: {intervalSeconds: 60}\n", interval=60.0).probe is not None


@pytest.mark.parametrize(
    ("hosts", "word", "asked", "alone"),
    [
        ("", "true", True, True),
        ("", "false", False, False),
        ("    hosts: [{broker: 1, address: b1, exporter: 'b1:7071'}]\n", "true", True, False),
    ],
    ids=["by-name", "off", "with-exporters"],
)
def test_disks_count_by_name_where_there_are_no_exporters(
    write: WriteFile, hosts: str, word: str, *, asked: bool, alone: bool
) -> None:
    config = cluster(write, f"    logDirs: {word}\n{hosts}")
    assert ("logDirs" in sources(config)) is asked
    assert ClusterTarget.of(config).counts_log_dirs_alone is alone
