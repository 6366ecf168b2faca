"""Kafka and Java as they lie on many a host: a folder for each version, a link to the one in use.

A broker of such a host runs whatever its links point to when it is started. So a link can be
switched while the broker is away, and it comes back as another version.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from healthd.demo.nodes import Node
from healthd.demo.provision import find_program, jars_folder

KAFKA_LINK: Final = "kafka"
JAVA_LINK: Final = "java"
EXECUTABLE: Final = 0o755
RUN_CLASS: Final = """\
#!/bin/sh
# What Kafka's own script of this name comes to: a class of this version, by JAVA_HOME's Java.
base=$(dirname "$(readlink -f "$0")")/..
exec "${JAVA_HOME:+$JAVA_HOME/bin/}java" -cp "$base/libs/*" "$@"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """Which Kafka the hosts of a fleet have, and how its metadata begins."""

    need: str = "kafka"
    """The set of jars (``provision.JARS``)."""
    metadata_version: str | None = None
    """What the storage is formatted at, such as ``4.0``; None: the newest that this Kafka knows."""

    @property
    def version(self) -> str:
        """Kafka's own version, by the name of its jar."""
        return kafka_version(jars_folder(self.need))


def kafka_version(jars: Path) -> str:
    """The version of the Kafka among some jars."""
    jar = next(jars.glob("kafka_2.13-*.jar"))
    return jar.stem.partition("-")[2]


def install_folder(node: Node) -> Path:
    """Where a host has its versions and links."""
    return node.folder / "opt"


def kafka_link(node: Node) -> Path:
    """What points to the Kafka in use."""
    return install_folder(node) / KAFKA_LINK


def java_link(node: Node) -> Path:
    """What points to the Java in use."""
    return install_folder(node) / JAVA_LINK


def folder_name(version: str) -> str:
    """What the folder of a version is called, in Kafka's own archives as well."""
    return f"kafka_2.13-{version}"


def java_home() -> Path:
    """The folder of the Java on PATH."""
    return Path(os.path.realpath(str(find_program("java")))).parents[1]


def write_version(folder: Path, jars: Path) -> Path:
    """A version's own folder, below ``folder``, as its archive has it: ``bin`` and ``libs``."""
    place = folder / folder_name(kafka_version(jars))
    shutil.copytree(jars, place / "libs", copy_function=_link_or_copy)
    script = place / "bin" / "kafka-run-class.sh"
    script.parent.mkdir()
    script.write_text(RUN_CLASS, encoding="utf-8")
    script.chmod(EXECUTABLE)
    return place


def install(node: Node, installed: Installed) -> None:
    """The host has that version, and its links point to it and to the Java on PATH."""
    folder = install_folder(node)
    folder.mkdir(parents=True)
    kafka_link(node).symlink_to(write_version(folder, jars_folder(installed.need)).name)
    java_link(node).symlink_to(java_home())


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        # Another file system, or one that knows no hard links.
        shutil.copy2(source, target)
