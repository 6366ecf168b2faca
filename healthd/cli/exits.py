"""The exit codes of every command (contract.md section 1)."""

from enum import IntEnum


class Exit(IntEnum):
    """What a command ends with; scripts rely on these."""

    OK = 0
    """It was done, or all is well."""
    FAILED = 1
    """It was not done: refused by the daemon, or a defect."""
    USAGE = 2
    """A wrong command line, input that cannot be read, or a cluster or wave that is not there."""
    PROBLEMS = 3
    """The check found problems."""
    NOT_OK_TO_STOP = 4
    """The gate is closed, or it is not ok to stop."""
    WAVE_FAILED = 5
    """The wave failed or was aborted."""
    LEASE_HELD = 6
    """Somebody else holds the cluster."""
    PLAN_STALE = 7
    """The plan no longer fits the cluster."""
    UNREACHABLE = 8
    """The daemon cannot be reached."""
