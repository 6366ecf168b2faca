"""What a status command says of a service; what it does not say clearly is unknown."""

import re
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStatus:
    """Whether a service's process runs, and since when.

    `start` is the host's own word for the process's start time, only ever compared for equality:
    a restart is proven by a different one (restart-safety.md section 4).
    """

    is_running: bool
    pid: int | None = None
    start: str | None = None


STOPPED: Final = ServiceStatus(is_running=False)

_RUNNING: Final = re.compile(r"running ([1-9][0-9]{0,9}) (\S(?:.*\S)?)")
_PROPERTY: Final = re.compile(r"(ActiveState|MainPID|ExecMainStartTimestampMonotonic)=(.*)")
_DEAD_STATES: Final = frozenset({"inactive", "failed"})
_LIVE_STATES: Final = frozenset({"active", "activating", "deactivating", "reloading"})


def parse_status(stdout: str) -> ServiceStatus | None:
    """What the output says, or None when it says neither that it runs nor that it is stopped.

    Understood are healthd's own form, one line `running PID START` or `stopped`, and what
    `systemctl show -p ActiveState,MainPID,ExecMainStartTimestampMonotonic UNIT` prints.
    """
    lines = [line.strip() for line in stdout.splitlines() if line.strip()]
    if len(lines) == 1:
        if lines[0] == "stopped":
            return STOPPED
        if found := _RUNNING.fullmatch(lines[0]):
            return ServiceStatus(is_running=True, pid=int(found[1]), start=found[2])
        return None
    return _parse_systemd(lines)


def _parse_systemd(lines: list[str]) -> ServiceStatus | None:
    properties: dict[str, str] = {}
    for line in lines:
        found = _PROPERTY.fullmatch(line)
        if found is None or found[1] in properties:
            return None
        properties[found[1]] = found[2]
    state = properties.get("ActiveState", "")
    pid = properties.get("MainPID", "")
    start = properties.get("ExecMainStartTimestampMonotonic", "")
    if not (pid.isascii() and pid.isdecimal()):
        return None
    if state in _DEAD_STATES and int(pid) == 0:
        return STOPPED
    # While systemd stops a service its main process still runs; while it waits to restart one
    # ("activating" with process 0) nobody can say what comes next.
    if state in _LIVE_STATES and int(pid) > 0 and start.isascii() and start.isdecimal():
        if int(start) == 0:
            return None
        return ServiceStatus(is_running=True, pid=int(pid), start=start)
    return None
