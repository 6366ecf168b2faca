"""A small RPM package in an older and a newer version, and a repository over HTTP that has both.

Built here by rpmbuild and createrepo_c. Hosts that reboot (`healthd.demo.netns`) have a database of
RPM packages of their own, with this one alone in it; the server runs on the host itself.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from healthd.demo.netns import Machine
from healthd.demo.service import wait_until

PACKAGE: Final = "healthd-sample"
OLDER: Final = "1-1"
NEWER: Final = "2-1"
_PORT: Final = 18_470
_SPEC: Final = """\
Name: {name}
Version: {version}
Release: 1
Summary: What a test installs
License: Apache-2.0
BuildArch: noarch
Provides: /bin/sh
%description
What a test installs.
%install
mkdir -p %{{buildroot}}/usr/share/{name}
echo {version} >%{{buildroot}}/usr/share/{name}/version
%post
[ ! -e /run/half-way ] || {{ touch /run/begun; sleep 60; }}
%files
/usr/share/{name}/version
"""
_SETUP: Final = """\
set -e
rm -rf /etc/yum.repos.d /etc/dnf/plugins/local.conf /etc/dnf/plugins/needs-restarting.d
rm -rf /var/lib/rpm /var/cache/dnf
mkdir -p /etc/rpm /var/lib/rpm /etc/yum.repos.d /etc/dnf/vars
echo '%_dbpath /var/lib/rpm' >/etc/rpm/macros
# As on Red Hat Enterprise Linux.
printf '[main]\\ngpgcheck=0\\nbest=True\\nskip_if_unavailable=False\\n' >/etc/dnf/dnf.conf
echo 9 >/etc/dnf/vars/releasever
printf '[ours]\\nname=ours\\nbaseurl=http://127.0.0.1:{port}/\\n' >/etc/yum.repos.d/ours.repo
rpm -i --nodeps {older} 2>/dev/null
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A folder from which dnf installs."""

    folder: Path
    newer_version: str = NEWER

    @property
    def older(self) -> Path:
        """The file of the older version."""
        return self.folder / f"{PACKAGE}-1.rpm"

    @property
    def newer(self) -> Path:
        """The file of the newer version."""
        return self.folder / f"{PACKAGE}-2.rpm"

    def install_older(self, machine: Machine) -> None:
        """The host has the older version, and its dnf knows this repository alone."""
        self.shut(machine)
        machine.shell(_SETUP.format(port=_PORT, older=self.older))
        self.open(machine)

    def open(self, machine: Machine) -> None:
        """The repository answers."""
        program = f"/usr/bin/python3 -m http.server -b 127.0.0.1 -d {self.folder} {_PORT}"
        machine.shell(f"{program} >/dev/null 2>&1 & echo $! >/run/repository.pid")
        url = f"http://127.0.0.1:{_PORT}/repodata/repomd.xml"
        ask = ("/usr/bin/python3", "-c", f"import urllib.request as r; r.urlopen('{url}')")
        wait_until(lambda: machine.run(*ask).returncode == 0, "the repository answers", 20)

    def shut(self, machine: Machine) -> None:
        """The repository does not answer any more."""
        machine.run("sh", "-c", "kill $(cat /run/repository.pid) && rm /run/repository.pid")

    def version_on(self, machine: Machine) -> str:
        """Which version the host has, by its own database; several where one was left over."""
        done = machine.run("rpm", "-q", "--qf", "%{VERSION}-%{RELEASE} ", PACKAGE)
        return done.stdout.strip() if done.returncode == 0 else ""


def make_repository(folder: Path) -> Repository:
    """A repository with both versions, in a folder that is there and empty."""
    for version in ("1", "2"):
        spec = folder / f"{version}.spec"
        spec.write_text(_SPEC.format(name=PACKAGE, version=version), "utf-8")
        defines = (
            *("--define", f"_topdir {folder / 'build'}"),
            *("--define", f"_rpmdir {folder}"),
            *("--define", "_rpmfilename %%{NAME}-%%{VERSION}.rpm"),
        )
        _output("rpmbuild", "--quiet", "-bb", *defines, str(spec))
    _output("createrepo_c", "--quiet", str(folder))
    return Repository(folder=folder)


def _output(*argv: str) -> str:
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    return subprocess.run(argv, env=environment, capture_output=True, text=True, check=True).stdout
