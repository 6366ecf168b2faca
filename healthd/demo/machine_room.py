"""Runs hosts that can be booted anew: each in namespaces of its own, all on one switch.

Run as root, as ``python machine_room.py SPEC.json``, below the guardian. It moves into a network
namespace of its own, which is the switch, with one cable to where it came from; each host is a
tree of processes in its own network, mount, process id and host name namespace. Nothing of that
has a name outside: it is gone with the processes, however they end. Standard library only.

A host is told what to do by files in its ``power`` folder: ``reboot`` (asked for from inside),
``off`` (as long as it is there the host has no power) and ``next.json`` (how its next start differs
from an ordinary one). What is the case is in ``state.json``.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any

CLONE_NEWNS = 0x00020000
CLONE_NEWNET = 0x40000000
"""From linux/sched.h."""
PR_SET_PDEATHSIG = 1
"""From linux/prctl.h."""
POLL_SECONDS = 0.05
GRACE_SECONDS = 20.0
"""An orderly reboot ends what does not heed SIGTERM for so long."""
BOOT_SECONDS = 20.0
POWERED_DOWN_SECONDS = 0.3
"""Between the end of everything and the new start: a machine is never back at once."""


class RoomError(Exception):
    """A command that makes or joins namespaces failed; the text has its last words."""


def run(*argv: str) -> str:
    """What the command printed.

    Raises:
        RoomError: It failed.
    """
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RoomError(f"{' '.join(argv)}: {done.stdout}{done.stderr}".strip())
    return done.stdout


def write(path: Path, text: str) -> None:
    """The file has this content; who reads it meanwhile sees all of the old or all of the new."""
    beside = path.with_name(f".{path.name}")
    beside.write_text(text, encoding="utf-8")
    beside.rename(path)


class Host:
    """One host: it boots, runs until it is to end, and boots again."""

    def __init__(self, number: int, spec: dict[str, Any]) -> None:
        self._number = number
        self._boot_script = str(spec["boot"])
        self._power = Path(spec["power"])
        self._log = Path(spec["log"])
        self._shell: subprocess.Popen[bytes] | None = None
        self._init = 0
        self._cable = ""
        self._boot_ids: list[str] = []

    def live(self) -> None:
        """The host's life, for good."""
        while True:
            self._wait_for_power()
            self._boot()
            is_orderly = self._wait_for_the_end()
            self._end(is_orderly=is_orderly)
            self._stay_down()

    def _wait_for_power(self) -> None:
        while (self._power / "off").exists():
            time.sleep(POLL_SECONDS)

    def _boot(self) -> None:
        (self._power / "reboot").unlink(missing_ok=True)
        plan = self._take_plan()
        is_same = plan.get("bootId") == "same" and self._boot_ids
        self._boot_ids.append(self._boot_ids[-1] if is_same else str(uuid.uuid4()))
        (self._power / "boot_id").write_text(f"{self._boot_ids[-1]}\n", encoding="ascii")
        # It goes with this process, and everything in its namespaces with it.
        argv = ["setpriv", "--pdeathsig", "KILL"]
        argv += ["unshare", "--net", "--mount", "--uts", "--pid", "--fork", "--kill-child"]
        argv += ["--mount-proc", "--propagation", "private", self._boot_script]
        with self._log.open("ab") as log:
            self._shell = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._init = self._child_of(self._shell)
        self._cable = f"h{self._number}b{len(self._boot_ids)}"
        peer = ("peer", "name", "eth0", "netns", str(self._init))
        run("ip", "link", "add", self._cable, "type", "veth", *peer)
        run("ip", "link", "set", self._cable, "master", "switch", "up")
        self._tell()

    def _child_of(self, shell: subprocess.Popen[bytes]) -> int:
        children = Path(f"/proc/{shell.pid}/task/{shell.pid}/children")
        deadline = time.monotonic() + BOOT_SECONDS
        while time.monotonic() < deadline and shell.poll() is None:
            with contextlib.suppress(OSError):
                if found := children.read_text(encoding="ascii").split():
                    return int(found[0])
            time.sleep(0.005)
        raise RoomError(f"{self._boot_script} did not begin; see {self._log}")

    def _wait_for_the_end(self) -> bool:
        """True when everything is to be asked to end, false when the power is gone."""
        assert self._shell is not None
        while self._shell.poll() is None:
            if (self._power / "off").exists():
                return False
            if (self._power / "reboot").exists():
                return True
            time.sleep(POLL_SECONDS)
        return False

    def _end(self, *, is_orderly: bool) -> None:
        assert self._shell is not None
        if is_orderly:
            self._ask_all_to_end()
        # Without power no last word reaches anybody: first the cable, then the processes.
        with contextlib.suppress(RoomError):
            run("ip", "link", "set", self._cable, "down")
        with contextlib.suppress(ProcessLookupError):
            # The kernel ends everything in the namespace with its process 1.
            os.kill(self._init, signal.SIGKILL)
        self._shell.wait()
        with contextlib.suppress(RoomError):
            run("ip", "link", "delete", self._cable)
        self._init = 0
        self._tell()

    def _ask_all_to_end(self) -> None:
        into = ["nsenter", "--target", str(self._init), "--mount", "--pid", "--"]
        # To all processes but 1; supervisors pass it on to their services, and end after them.
        subprocess.run([*into, "kill", "-TERM", "-1"], capture_output=True, check=False)
        deadline = time.monotonic() + GRACE_SECONDS
        while self._has_children() and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)

    def _has_children(self) -> bool:
        children = Path(f"/proc/{self._init}/task/{self._init}/children")
        with contextlib.suppress(OSError):
            for child in children.read_text(encoding="ascii").split():
                with contextlib.suppress(OSError):
                    stat = Path(f"/proc/{child}/stat").read_text(encoding="utf-8")
                    # Process 1 has nothing more to do, and does not reap any more.
                    if stat.rpartition(")")[2].split()[0] != "Z":
                        return True
        return False

    def _stay_down(self) -> None:
        plan = self._read_plan()
        if plan.get("comesBack", True):
            time.sleep(float(plan.get("afterSeconds", POWERED_DOWN_SECONDS)))
        else:
            # Until somebody presses the button, which takes this file away.
            (self._power / "off").touch()

    def _read_plan(self) -> dict[str, Any]:
        try:
            found = json.loads((self._power / "next.json").read_text(encoding="utf-8"))
        except OSError:
            return {}
        return dict(found)

    def _take_plan(self) -> dict[str, Any]:
        # It is for one start; the first one has nothing before it.
        plan = self._read_plan() if self._boot_ids else {}
        if self._boot_ids:
            (self._power / "next.json").unlink(missing_ok=True)
        return plan

    def _tell(self) -> None:
        state = {"init": self._init, "cable": self._cable, "bootIds": self._boot_ids}
        write(self._power / "state.json", json.dumps(state))


def die_with_parent() -> None:
    """The kernel kills this process when its parent ends, however that ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def make_switch(spec: dict[str, Any], outside: int) -> None:
    """This process is in a network of its own, with a cable to that of the process ``outside``.

    Raises:
        RoomError: A name or an address is taken, or this is not allowed here.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET | CLONE_NEWNS) != 0:
        raise RoomError(f"unshare: {os.strerror(ctypes.get_errno())}; it needs root")
    run("mount", "--make-rprivate", "/")
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", "switch", "type", "bridge")
    name = str(spec["cable"])
    # Both ends at once and in their places: a death in between leaves nothing behind.
    peer = ("peer", "name", name, "netns", str(outside))
    run("ip", "link", "add", "uplink", "type", "veth", *peer)
    run("ip", "link", "set", "uplink", "master", "switch", "up")
    run("ip", "link", "set", "switch", "up")
    into = ("nsenter", f"--net=/proc/{outside}/ns/net", "--")
    run(*into, "ip", "address", "add", f"{spec['address']}/24", "dev", name)
    run(*into, "ip", "link", "set", name, "up")


def main(spec_file: str) -> None:
    """Runs until it is killed."""
    spec = json.loads(Path(spec_file).read_text(encoding="utf-8"))
    die_with_parent()
    make_switch(spec, os.getppid())
    for host in spec["hosts"]:
        system = Path(host["system"])
        # A disk of its own for what is written to the host's system folders, of a known size.
        options = f"size={host['diskMib']}m,mode=0755"
        run("mount", "-t", "tmpfs", "-o", options, "healthd-demo", str(system))
    threading.excepthook = _end_everything
    threads = []
    for number, host in enumerate(spec["hosts"], start=1):
        thread = threading.Thread(target=Host(number, host).live, daemon=True)
        thread.start()
        threads.append(thread)
    write(Path(spec["ready"]), f"{os.getpid()}\n")
    for thread in threads:
        thread.join()


def _end_everything(trouble: threading.ExceptHookArgs) -> None:
    # A host that nobody drives any more would look like one that is slow.
    threading.__excepthook__(trouble)
    os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1])
