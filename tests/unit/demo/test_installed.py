"""Kafka and Java on a host: a folder for each version, and links to those in use."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from healthd.demo import installed
from healthd.demo.addresses import Block, Ports
from healthd.demo.nodes import THREE, Node, plan_nodes


@pytest.fixture
def node(tmp_path: Path) -> Node:
    """A host without anything on it."""
    return plan_nodes(Block(prefix="127.44.1", ports=Ports()), tmp_path, THREE)[0]


@pytest.fixture
def jars(tmp_path: Path) -> Path:
    """Jars as Maven leaves them."""
    folder = tmp_path / "jars"
    folder.mkdir()
    for name in ("kafka_2.13-4.0.1.jar", "kafka-clients-4.0.1.jar"):
        (folder / name).write_text(name, "utf-8")
    return folder


def test_the_version_of_kafka_is_that_of_its_own_jar(jars: Path) -> None:
    assert installed.kafka_version(jars) == "4.0.1"


def test_a_version_has_a_folder_as_its_archive_has_it(node: Node, jars: Path) -> None:
    place = installed.write_version(installed.install_folder(node), jars)
    assert place == node.folder / "opt" / "kafka_2.13-4.0.1"
    assert {path.name for path in place.iterdir()} == {"bin", "libs"}
    assert {path.name for path in (place / "libs").iterdir()} == {
        path.name for path in jars.iterdir()
    }


def test_the_links_of_a_host_lead_to_what_is_in_use(
    node: Node, jars: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installed, "jars_folder", lambda _need: jars)
    monkeypatch.setattr(installed, "java_home", lambda: jars.parent)
    installed.install(node, installed.Installed(need="kafka-4.0"))
    assert installed.Installed(need="kafka-4.0").version == "4.0.1"
    assert str(installed.kafka_link(node).readlink()) == "kafka_2.13-4.0.1"
    assert installed.java_link(node).readlink() == jars.parent


def test_a_class_is_run_by_the_java_that_the_environment_names(node: Node, jars: Path) -> None:
    place = installed.write_version(installed.install_folder(node), jars)
    java = node.folder / "jdk" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text('#!/bin/sh\necho "$@"\n', "utf-8")
    java.chmod(0o755)
    script = place / "bin" / "kafka-run-class.sh"
    run = subprocess.run(
        [script, "kafka.Kafka", "--version"],
        env={"JAVA_HOME": str(java.parents[1]), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.split()[-2:] == ["kafka.Kafka", "--version"]
    assert run.stdout.split()[1].endswith("/libs/*")
