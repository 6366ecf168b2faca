"""A real Debian package in an older and a newer version, and a mirror in a folder that has both.

The newer one is Debian's own ``hello``, as its mirrors have it; the older one is the same files
under a lower version number. Hosts that reboot (`healthd.demo.netns`) have a package database of
their own, so that what is installed there is not installed on this machine.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from healthd.demo.netns import Machine
from healthd.demo.provision import cache_folder

PACKAGE = "hello"
OLDER = "2.9-1"
"""Debian had this version once; what is in it here is the newer one's."""
_APT = """\
// What is on this host only: one mirror, in a folder, and none of the machine's settings.
Dir::Etc::SourceList "{folder}/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
APT::Sandbox::User "root";
Acquire::Languages "none";
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirror:
    """A folder from which apt installs."""

    folder: Path
    older: Path
    newer: Path
    newer_version: str

    def install_older(self, machine: Machine) -> None:
        """The host has the older version, and its apt knows this mirror alone."""
        machine.shell(
            f"cp {self.folder}/apt.conf /etc/apt/apt.conf.d/99healthd-test && "
            # Nobody reads manuals there, and indexing them takes seconds.
            "rm -f /var/lib/man-db/auto-update && "
            f"dpkg -i {self.older}"
        )

    def version_on(self, machine: Machine) -> str:
        """Which version the host has, by its own database; empty for none."""
        done = machine.run("dpkg-query", "-W", "-f", "${db:Status-Abbrev}${Version}", PACKAGE)
        status, _, version = done.stdout.partition(" ")
        return version if done.returncode == 0 and status == "ii" else ""


def make_mirror(folder: Path) -> Mirror:
    """A mirror with both versions, below a folder that is there and empty."""
    newer = folder / "newer.deb"
    shutil.copy(_downloaded(), newer)
    version = _field(newer, "Version")
    assert _is_older(OLDER, version), version
    older = folder / "older.deb"
    _repack(newer, older, OLDER)
    (folder / "Packages").write_text("".join(_entry(deb) for deb in (older, newer)), "utf-8")
    digest = hashlib.sha256((folder / "Packages").read_bytes()).hexdigest()
    size = (folder / "Packages").stat().st_size
    (folder / "Release").write_text(f"SHA256:\n {digest} {size} Packages\n", "utf-8")
    (folder / "sources.list").write_text(f"deb [trusted=yes] file:{folder} ./\n", "utf-8")
    (folder / "apt.conf").write_text(_APT.format(folder=folder), "utf-8")
    return Mirror(folder=folder, older=older, newer=newer, newer_version=version)


def _downloaded() -> Path:
    """Debian's own package; kept, so that it is downloaded once."""
    folder = cache_folder() / "debian"
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / f"{PACKAGE}.deb"
    with (folder / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        if not kept.is_file():
            with tempfile.TemporaryDirectory(dir=folder) as place:
                _download(Path(place)).rename(kept)
    return kept


def _download(folder: Path) -> Path:
    command = ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", PACKAGE]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        # This machine has never asked a mirror what there is.
        subprocess.run(["apt-get", "-q", "update"], capture_output=True, check=False)
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"Debian's package {PACKAGE} cannot be had: {done.stderr}"
    return next(folder.glob("*.deb"))


def _field(deb: Path, name: str) -> str:
    return _output("dpkg-deb", "--field", str(deb), name).strip()


def _is_older(one: str, other: str) -> bool:
    compared = subprocess.run(["dpkg", "--compare-versions", one, "lt", other], check=False)
    return compared.returncode == 0


def _repack(deb: Path, target: Path, version: str) -> None:
    with tempfile.TemporaryDirectory() as place:
        tree = Path(place) / "tree"
        _output("dpkg-deb", "--raw-extract", str(deb), str(tree))
        control = tree / "DEBIAN" / "control"
        lines = control.read_text("utf-8").splitlines()
        changed = [f"Version: {version}" if x.startswith("Version:") else x for x in lines]
        control.write_text("\n".join(changed) + "\n", "utf-8")
        options = ["-Znone", "--root-owner-group"]
        _output("dpkg-deb", *options, "--build", str(tree), str(target))


def _entry(deb: Path) -> str:
    """What a mirror's list of packages says of one."""
    content = deb.read_bytes()
    return (
        f"{_output('dpkg-deb', '--field', str(deb)).strip()}\n"
        f"Filename: ./{deb.name}\n"
        f"Size: {len(content)}\n"
        f"SHA256: {hashlib.sha256(content).hexdigest()}\n\n"
    )


def _output(*argv: str) -> str:
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    return subprocess.run(argv, env=environment, capture_output=True, text=True, check=True).stdout
