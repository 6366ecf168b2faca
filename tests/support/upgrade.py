"""A fleet on an old Kafka, with what an upgrade of it needs on every host.

    with upgradable() as upgrade:
        upgrade.write_fleet_file(tmp_path / "fleet.yaml")
        ...
        assert upgrade.versions() == {1: "4.1.0", 2: "4.1.0", 3: "4.1.0"}

The hosts run Kafka 4.0 from a link, their storage is formatted for 4.0, and the archive of the
newer version lies where a playbook expects it.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import shutil
import subprocess
import tarfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from healthd.demo import provision
from healthd.demo.fleet import DemoFleet
from healthd.demo.fleet_file import write_fleet_file
from healthd.demo.installed import (
    EXECUTABLE,
    RUN_CLASS,
    Installed,
    folder_name,
    install_folder,
    java_home,
    kafka_link,
    kafka_version,
)
from healthd.demo.nodes import THREE, Shape

with warnings.catch_warnings():
    # It reads its schemas in a way that Python 3.11 warns of.
    warnings.simplefilter("ignore", DeprecationWarning)
    from kafka.admin import KafkaAdminClient

OLD: Final = Installed(need="kafka-4.0", metadata_version="4.0")
NEW: Final = Installed(need="kafka")
OLD_LEVEL, NEW_LEVEL = 25, 27
"""metadata.version of 4.0 and of 4.1, as brokers count them."""
NEEDED_TO_START: Final = "metrics-core"
"""A jar without which a broker does not start, but says its version all the same."""
_LOGGED_VERSION: Final = re.compile(r"Kafka version: (\S+) \(org\.apache\.kafka")


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgrade:
    """A fleet that is to be upgraded, and what it is upgraded by."""

    fleet: DemoFleet
    sums: dict[str, str] = field(default_factory=dict)
    """The SHA-256 of each archive, by version."""

    @property
    def archives(self) -> Path:
        """The folder of the archives; all hosts have it at the same place."""
        return self.fleet.root / "archives"

    def pack(self, what: Installed, *, without: str | None = None) -> Path:
        """The archive of a version is on the hosts.

        Args:
            what: The version.
            without: Its archive has no jars whose names begin so.
        """
        self.archives.mkdir(exist_ok=True)
        path = self.archives / f"{folder_name(what.version)}.tgz"
        self.sums[what.version] = write_archive(path, provision.jars_folder(what.need), without)
        return path

    def variables(self, origin: Installed = OLD, target: Installed = NEW) -> dict[str, Any]:
        """What a wave with the playbook ``kafka-binaries`` is given."""
        return {
            "fromVersion": origin.version,
            "toVersion": target.version,
            "archiveSha256": self.sums[target.version],
        }

    def entry(self) -> dict[str, Any]:
        """The cluster in a fleet file, with the variables of its hosts."""
        entry = self.fleet.entry()
        entry["variables"] = {"archiveFolder": str(self.archives)}
        for host in entry["hosts"]:
            node = self.fleet.node(host["broker"])
            host["variables"] = {
                "installFolder": str(install_folder(node)),
                "link": str(kafka_link(node)),
            }
        return entry

    def write_fleet_file(self, path: Path) -> Path:
        """The fleet file is at ``path``, which is given back."""
        write_fleet_file(path, [self.entry()])
        return path

    # How it is, by others than healthd ------------------------------------------------------------

    def linked(self) -> dict[int, str]:
        """The version that each host's link leads to."""
        return {
            node.id: kafka_link(node).resolve().name.partition("-")[2] for node in self.fleet.nodes
        }

    def running(self) -> dict[int, str]:
        """The version that each broker named itself in its log when it started last."""
        return {
            node.id: _LOGGED_VERSION.findall(node.log_file.read_text("utf-8", "replace"))[-1]
            for node in self.fleet.nodes
        }

    def metadata_level(self) -> int:
        """The finalized metadata.version, as a broker says it to any client."""
        admin = KafkaAdminClient(bootstrap_servers=self.fleet.bootstrap)
        try:
            return int(admin.describe_features()["metadata.version"]["finalized"][1])
        finally:
            admin.close()


@contextlib.contextmanager
def upgradable(shape: Shape = THREE, cluster: str = "payments") -> Iterator[Upgrade]:
    """A fleet on the old version with topics; the new one is an archive on its hosts."""
    provision.ensure(("kafka", "kafka-4.0", "sudo"))
    with DemoFleet.launch(cluster, shape=shape, installed=OLD) as fleet:
        upgrade = Upgrade(fleet=fleet)
        upgrade.pack(NEW)
        fleet.create_topics()
        yield upgrade


def write_archive(path: Path, jars: Path, without: str | None = None) -> str:
    """An archive of a version as Apache's are, and its SHA-256.

    Args:
        path: Where to write it.
        jars: The jars of the version.
        without: Leave out the jars whose names begin so.
    """
    top = folder_name(kafka_version(jars))
    script = path.with_name("kafka-run-class.sh")
    script.write_text(RUN_CLASS, "utf-8")
    script.chmod(EXECUTABLE)
    # Jars are compressed already.
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        archive.add(script, f"{top}/bin/{script.name}")
        for jar in sorted(jars.iterdir()):
            if without is None or not jar.name.startswith(without):
                archive.add(jar, f"{top}/libs/{jar.name}")
    script.unlink()
    return hashlib.sha256(path.read_bytes()).hexdigest()


def other_java(folder: Path) -> Path:
    """The home of another Java than that on PATH, on which Kafka 4 runs as well.

    One that is installed on this machine; where there is none, a copy of the same one.
    """
    here = java_home()
    for program in sorted(Path("/usr/lib/jvm").glob("*/bin/java")):
        home = program.resolve().parents[1]
        major = int(java_version(home).split(".")[0])
        if home != here and major >= provision.JAVA_VERSION_AT_LEAST:
            return home
    return Path(shutil.copytree(here, folder / "another-java", symlinks=True))


def java_version(home: Path) -> str:
    """The version that a Java names itself, such as ``17.0.15``."""
    command = [str(home / "bin" / "java"), "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.split()[1]
