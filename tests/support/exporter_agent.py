"""The real jmx_exporter agent inside a Kafka node, which speaks one dialect after the other.

The agent reads its rule file again when that has become newer: one JVM shows the same state in
every dialect, without a restart.
"""

from __future__ import annotations

import itertools
import os
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from support.kafka_cluster import HOST, KafkaNode, free_port

from healthd.collect.dialects import FAMILIES
from healthd.collect.observation import BrokerSignals
from healthd.collect.page import signals_of_page
from healthd.collect.scan import Scanner
from healthd.demo.files import rule_file
from healthd.demo.provision import jars_folder

RULES = Path(__file__).parents[1] / "data" / "jmx"
REAL_DIALECTS = (
    "healthd",
    "catch-all",
    "catch-all-lower",
    "strimzi",
    "confluent",
    "confluent-before-2025",
    "bitnami",
)
"""Those that are a rule file."""

_SCANNER = Scanner(FAMILIES)


def rules_of(dialect: str) -> Path:
    """The rule file that yields the names of a dialect."""
    return rule_file() if dialect == "healthd" else RULES / f"{dialect}.yml"


def jars_without_agent(folder: Path) -> Path:
    """Kafka's jars without those of the demo's agent, which would win over an older one."""
    folder.mkdir()
    for jar in jars_folder().glob("*.jar"):
        if not jar.name.startswith("jmx_prometheus"):
            (folder / jar.name).symlink_to(jar)
    return folder


class Agents:
    """The agents of all nodes of a cluster; they always speak one and the same dialect."""

    def __init__(self, folder: Path, jars: Path | None = None) -> None:
        """Give ``flags`` to the cluster.

        Args:
            folder: Where the rule file is, which all nodes share.
            jars: The folder of the agent's jar; by default the demo's.
        """
        self._rules = folder / "rules.yml"
        self._jar = next((jars or jars_folder()).glob("jmx_prometheus_javaagent-*.jar"))
        self._ports: dict[int, int] = {}
        self._times: Iterator[int] = itertools.count(1_700_000_000, 60)
        self.speak("healthd")

    def flags(self, node: KafkaNode) -> tuple[str, ...]:
        """The JVM's flags for a node."""
        port = self._ports.setdefault(node.id, free_port())
        return (f"-javaagent:{self._jar}={HOST}:{port}:{self._rules}",)

    def url(self, node: int) -> str:
        """The page of a node."""
        return f"http://{HOST}:{self._ports[node]}/metrics"

    def speak(self, dialect: str) -> None:
        """From the next page on, names are those of the dialect."""
        new = self._rules.with_suffix(".new")
        new.write_text(rules_of(dialect).read_text("utf-8"), "utf-8")
        # Only a file that is newer by its time stamp is read again.
        stamp = next(self._times)
        os.utime(new, (stamp, stamp))
        new.replace(self._rules)

    def signals(self, node: int) -> BrokerSignals:
        """What the page of a node says now."""
        with urllib.request.urlopen(self.url(node), timeout=30) as answer:
            return signals_of_page(_SCANNER.scan(answer.read()))
