"""Finds, and where it may installs, the programs and jars that the real servers need.

This file uses the standard library only and imports nothing of healthd, so that it runs with the
system's Python before there is a virtual environment:

    python3 healthd/demo/provision.py [--need kafka,sshd,runit,prometheus]

Programs come from Debian packages when it runs as root on Debian; elsewhere it lists what is
missing and exits with 1. Jars come through Maven into a cache folder, one set for each ``pom.xml``
under ``parts``, and are checked against the ``checksums.txt`` beside it. It can be run again at any
time, by several processes at once: what is there already is left alone.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
DEFAULT_NEEDS = ("kafka", "sshd", "runit", "prometheus")
JAVA_VERSION_AT_LEAST = 17
"""Kafka 4 brokers refuse to run on an older one."""
STDERR = 2


class ProvisionError(Exception):
    """Something that the real servers need is missing and could not be had; the text says what."""


@dataclass(frozen=True)
class Program:
    """One program that must be on the machine, and the Debian package that has it."""

    name: str
    package: str
    wanted: str
    is_there: Callable[[], bool]


@dataclass(frozen=True)
class JarSet:
    """Jars that belong together: a pom, and the checksums that its jars must have."""

    parts: Path
    """The folder of both files."""

    @property
    def pom(self) -> Path:
        """What Maven is asked for."""
        return self.parts / "pom.xml"

    @property
    def checksums(self) -> Path:
        """The pinned SHA-256 of every jar."""
        return self.parts / "checksums.txt"


JARS: dict[str, JarSet] = {
    "kafka": JarSet(HERE / "parts"),
    # Only tests need it: the last Kafka that runs with ZooKeeper, and ZooKeeper itself.
    "zookeeper": JarSet(HERE / "parts" / "zookeeper"),
    # So do they alone: Kafka Connect and MirrorMaker 2.
    "connect": JarSet(HERE / "parts" / "connect"),
    # And, for the long proofs, what exporter pages differ by: Kafka 4.2, and an older agent.
    "kafka-next": JarSet(HERE / "parts" / "kafka-next"),
    "agent-0.20": JarSet(HERE / "parts" / "agent-0.20"),
    # What an upgrade begins with; it ends with the set "kafka".
    "kafka-4.0": JarSet(HERE / "parts" / "kafka-4.0"),
    # The same with ZooKeeper; it ends with the set "zookeeper".
    "kafka-3.8": JarSet(HERE / "parts" / "kafka-3.8"),
}


def find_program(name: str) -> str | None:
    """The full path of a program, also where ``sbin`` is not on a user's PATH; None without it."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    return shutil.which(name, path=path)


def java_major_version() -> int:
    """The major version of the ``java`` on PATH, or 0 when there is none."""
    java = find_program("java")
    if java is None:
        return 0
    result = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    match = re.search(r'version "(?:1\.)?(\d+)', result.stderr + result.stdout)
    return int(match.group(1)) if match else 0


def _has_java() -> bool:
    return java_major_version() >= JAVA_VERSION_AT_LEAST


def _has_venv() -> bool:
    # Debian's python3 has no ensurepip before python3-venv is installed.
    command = [sys.executable, "-c", "import ensurepip, venv"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _can_tell() -> bool:
    # A plugin of dnf, and no program of its own on Debian.
    command = ["dnf", "help", "needs-restarting"]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def _program(name: str, package: str) -> Program:
    return Program(name, package, name, lambda: find_program(name) is not None)


_JAVA = (
    Program("java", "openjdk-17-jre-headless", "Java 17 or later", _has_java),
    _program("mvn", "maven"),
)

PROGRAMS: dict[str, tuple[Program, ...]] = {
    "kafka": _JAVA,
    "sshd": (_program("sshd", "openssh-server"), _program("ssh-keygen", "openssh-client")),
    "runit": (_program("runsvdir", "runit"), _program("sv", "runit")),
    "prometheus": (_program("prometheus", "prometheus"), _program("promtool", "prometheus")),
    "alertmanager": (
        _program("prometheus-alertmanager", "prometheus-alertmanager"),
        _program("amtool", "prometheus-alertmanager"),
    ),
    # What playbooks with `become` need on a host, also where the SSH user is root.
    "sudo": (_program("sudo", "sudo"),),
    # For long proofs only: another package manager, and what makes packages for it.
    "dnf": (
        _program("dnf", "dnf"),
        Program("needs-restarting", "dnf-plugins-core", "dnf's needs-restarting", _can_tell),
        _program("rpmbuild", "rpm"),
        _program("createrepo_c", "createrepo-c"),
    ),
    "venv": (Program("python3-venv", "python3-venv", "Python's venv and ensurepip", _has_venv),),
    "zookeeper": _JAVA,
    "connect": _JAVA,
    "kafka-next": _JAVA,
    "agent-0.20": _JAVA,
    "kafka-4.0": _JAVA,
    "kafka-3.8": _JAVA,
}


def say(text: str) -> None:
    """Tell the person what is going on, on stderr."""
    print(f"provision: {text}", file=sys.stderr, flush=True)


def cache_folder() -> Path:
    """Where downloads are kept: HEALTHD_CACHE, else ``.cache`` of the checkout, else the user's."""
    override = os.environ.get("HEALTHD_CACHE")
    if override:
        return Path(override).resolve()
    checkout = HERE.parent.parent
    if (checkout / "pyproject.toml").exists():
        return checkout / ".cache"
    return Path.home() / ".cache" / "healthd"


def jars_folder(need: str = "kafka") -> Path:
    """Where the jars of exactly these checksums are; the folder is there only when complete."""
    digest = hashlib.sha256(JARS[need].checksums.read_bytes()).hexdigest()[:12]
    return cache_folder() / f"jars-{digest}"


def ensure(needs: Sequence[str] = DEFAULT_NEEDS) -> None:
    """Everything in ``needs`` is there afterwards.

    Args:
        needs: Keys of ``PROGRAMS``.

    Raises:
        ProvisionError: Something is missing and cannot be installed from here.
    """
    unknown = [need for need in needs if need not in PROGRAMS]
    if unknown:
        raise ProvisionError(f"unknown need {unknown[0]!r}; there are: {', '.join(PROGRAMS)}")
    if not _missing(needs) and not _missing_jars(needs):
        return
    with _lock():
        # Another process may have done it while this one waited.
        missing = _missing(needs)
        if missing:
            _install(missing)
        for need in _missing_jars(needs):
            _fetch_jars(need)


def _missing(needs: Sequence[str]) -> list[Program]:
    return [program for need in needs for program in PROGRAMS[need] if not program.is_there()]


def _missing_jars(needs: Sequence[str]) -> list[str]:
    return [need for need in needs if need in JARS and not jars_folder(need).is_dir()]


def _install(missing: Sequence[Program]) -> None:
    packages = sorted({program.package for program in missing})
    apt = find_program("apt-get")
    if apt is None or os.geteuid() != 0:
        lines = [f"  - {item.wanted} (Debian package {item.package})" for item in missing]
        raise ProvisionError("\n".join(["these are missing, please install them:", *lines]))
    say(f"installing Debian packages: {' '.join(packages)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    # Somebody else's apt-get is waited for instead of failing at once.
    apt_get = [apt, "-q", "-o", "DPkg::Lock::Timeout=300"]
    for arguments in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
        _run([*apt_get, *arguments], environment)
    still_missing = [program.wanted for program in missing if not program.is_there()]
    if still_missing:
        raise ProvisionError(f"installed, but still not found: {', '.join(still_missing)}")


def _fetch_jars(need: str) -> None:
    target = jars_folder(need)
    say(f"downloading the jars for {need} through Maven into {target}")
    with tempfile.TemporaryDirectory(dir=cache_folder(), prefix="jars-part-") as part:
        folder = Path(part) / "jars"
        _download(JARS[need], folder)
        problems = compare_checksums(folder, read_checksums(need))
        if problems:
            raise ProvisionError("\n  - ".join(["the downloaded jars are refused:", *problems]))
        # The rename makes the folder appear complete or not at all.
        folder.rename(target)
    say(f"{len(list(target.iterdir()))} jars are there and their checksums match")


def _download(jars: JarSet, folder: Path) -> None:
    maven = find_program("mvn")
    assert maven is not None, "the caller installs Maven first"
    goal = "dependency:copy-dependencies"
    command = [maven, "-q", "-B", "-f", str(jars.pom), goal, f"-DoutputDirectory={folder}"]
    # Its words are kept for a failure: even a quiet Maven prints colour codes and nothing else.
    result = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if result.returncode != 0:
        raise ProvisionError(f"Maven failed: {' '.join(command)}\n{result.stdout}{result.stderr}")


def _run(command: Sequence[str], environment: dict[str, str] | None = None) -> None:
    # Our stdout is for data: what these programs say goes where our own messages go.
    result = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=STDERR, check=False
    )
    if result.returncode != 0:
        raise ProvisionError(f"this failed with exit code {result.returncode}: {' '.join(command)}")


def read_checksums(need: str = "kafka") -> dict[str, str]:
    """The pinned SHA-256 by file name."""
    text = JARS[need].checksums.read_text(encoding="utf-8")
    pairs = (line.split() for line in text.splitlines() if line)
    return {name: digest for digest, name in pairs}


def compare_checksums(folder: Path, pinned: dict[str, str]) -> list[str]:
    """What differs between the files of a folder and the pinned checksums, a sentence each."""
    found = checksums_of(folder)
    problems = [f"{name} is missing" for name in sorted(pinned.keys() - found.keys())]
    problems += [f"{name} is not in checksums.txt" for name in sorted(found.keys() - pinned)]
    for name in sorted(found.keys() & pinned.keys()):
        if found[name] != pinned[name]:
            problems.append(f"{name} has SHA-256 {found[name]}, but {pinned[name]} is pinned")
    return problems


def checksums_of(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file of a folder, by file name."""
    files = sorted(folder.iterdir())
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def pin(need: str) -> None:
    """``checksums.txt`` says afterwards what Maven gives for the pom now; review the difference."""
    jars = JARS[need]
    cache_folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_folder(), prefix="jars-part-") as part:
        _download(jars, Path(part) / "jars")
        found = checksums_of(Path(part) / "jars")
    text = "".join(f"{digest}  {name}\n" for name, digest in found.items())
    jars.checksums.write_text(text, encoding="utf-8")
    say(f"pinned {len(found)} jars in {jars.checksums}")


@contextlib.contextmanager
def _lock() -> Iterator[None]:
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "provision.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code of the command line: 0 when everything asked for is there, else 1."""
    parser = argparse.ArgumentParser(description="Find or install what the real servers need.")
    parser.add_argument(
        "--need",
        default=",".join(DEFAULT_NEEDS),
        help=f"comma-separated, of: {', '.join(PROGRAMS)} (default: %(default)s)",
    )
    parser.add_argument("--pin", action="store_true", help="write new checksums for a changed pom")
    options = parser.parse_args(arguments)
    try:
        needs = tuple(options.need.split(","))
        if options.pin:
            for need in needs:
                if need in JARS:
                    pin(need)
        else:
            ensure(needs)
            say(f"everything is there for: {', '.join(needs)}")
    except ProvisionError as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
