"""What a host says of itself and of the Kafka processes on it, as `host_script` prints it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from healthd.execute.host_script import MARK

MAX_OUTPUT_BYTES: Final = 262_144
"""Of an answer; a host with a hundred listeners and log folders needs a tenth of it."""
ZOOKEEPER: Final = "zookeeper"

_NODE_KEYS: Final = ("node.id", "broker.id")
_COLUMNS: Final = 4
_LISTENER: Final = re.compile(r"(?:[^:/]+://)?(?P<host>\[[^\]]*\]|[^:]*):(?P<port>[0-9]+)")
_IDENTITY: Final = re.compile(r"\s*(node\.id|broker\.id|cluster\.id)\s*=\s*(\S+)\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogDirFacts:
    """What the `meta.properties` of one log directory says (or ZooKeeper's `myid`)."""

    path: str
    node_id: int | None = None
    cluster_id: str | None = None
    trouble: str = ""
    """`missing` or `unreadable`; empty when it was read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessFacts:
    """One process, and what its own configuration says."""

    pid: int
    main: str | None = None
    """The class that makes it ours; None: another program."""
    program: str = ""
    """What another program is called."""
    uid: int | None = None
    parent: int | None = None
    """The process that began it."""
    file: str = ""
    is_readable: bool = True
    """Whether its file could be read."""
    values: Mapping[str, str] = field(default_factory=dict)
    log_dirs: tuple[LogDirFacts, ...] = ()

    @property
    def is_zookeeper(self) -> bool:
        """Whether it is a server of an ensemble and no broker."""
        return self.main is not None and ZOOKEEPER in self.main.lower()

    @property
    def node_ids(self) -> tuple[int, ...]:
        """Every id that it goes by: of its file, and of its log directories; one, when all is well.

        A broker whose file says none, or -1, has made one up and written it to its directories.
        """
        told = [self.values.get(key, "") for key in _NODE_KEYS]
        own = [int(text) for text in told if text.isascii() and text.isdecimal()][:1]
        found = [each.node_id for each in self.log_dirs if each.node_id is not None]
        return tuple(sorted({*own, *found}))

    @property
    def cluster_ids(self) -> tuple[str, ...]:
        """Every cluster that its log directories belong to."""
        return tuple(sorted({each.cluster_id for each in self.log_dirs if each.cluster_id}))

    @property
    def advertised(self) -> tuple[tuple[str, int], ...]:
        """Where it says that clients find it, as its file has it; empty hosts are left out."""
        text = self.values.get("advertised.listeners") or self.values.get("listeners", "")
        return tuple((host, port) for host, port in _listeners(text) if host)

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports that it should listen on."""
        return tuple(
            dict.fromkeys(port for _, port in _listeners(self.values.get("listeners", "")))
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskFacts:
    """A file system, in blocks of a kilobyte."""

    name: str
    total: int
    available: int

    @property
    def used_ratio(self) -> float:
        """As full as it is for somebody without privileges."""
        return 1.0 - self.available / self.total if self.total else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """Everything that one answer says."""

    clock: float | None = None
    """The host's wall clock; whole seconds where its `date` has no finer ones."""
    ended: float | None = None
    """The same clock at the end of the answer."""
    is_clock_fine: bool = False
    has_proc: bool = True
    user: str = ""
    home: str = ""
    is_home_writable: bool = True
    boot_id: str = ""
    reboot: str | None = None
    """Who says that the host wants to be booted, and why; None: nobody."""
    untold_reboot: str = ""
    """What should say whether it does, and does not."""
    gone: bool = False
    """The process that was asked after is not there."""
    processes: tuple[ProcessFacts, ...] = ()
    disks: tuple[DiskFacts, ...] = ()
    listeners: tuple[tuple[int, int], ...] = ()
    """Ports that somebody listens on, in the network that the process is in, with the user's id."""

    def process(self, pid: int) -> ProcessFacts | None:
        """The process of that id, or None."""
        return next((each for each in self.processes if each.pid == pid), None)


def parse_facts(text: str) -> HostFacts | None:
    """The facts in an answer; None when it is not whole, or none of ours."""
    rows = [_columns(line) for line in text.splitlines()]
    marks = [row[1] for row in rows if row[0] == MARK]
    if marks != ["begin", "end"] or rows[-1][0] != MARK:
        return None
    (clock, is_fine), (ended, _) = (_clock(row[3]) for row in rows if row[0] == MARK)
    told = {row[1]: row for row in rows if row[0] == "host"}
    home = told.get("home", ("", "", "", "writable"))
    reboot = told.get("reboot")
    untold = told.get("untold", ("", "", "", ""))
    return HostFacts(
        clock=clock,
        ended=ended,
        is_clock_fine=is_fine,
        has_proc="noproc" not in told,
        user=told.get("user", ("", "", "", ""))[2],
        home=home[2],
        is_home_writable=home[3] == "writable",
        boot_id=told.get("boot", ("", "", "", ""))[2],
        reboot=None if reboot is None else f"{reboot[2]} {reboot[3]}".strip(),
        untold_reboot=untold[2],
        gone=any(row[0] == "process" and row[2] == "gone" for row in rows),
        processes=tuple(_processes(rows)),
        disks=tuple(dict.fromkeys(_disks(rows))),
        listeners=tuple(_open_ports(rows)),
    )


def parse_identity(text: str) -> tuple[int | None, str | None]:
    """Node and cluster id in what a fleet file's `service.identity` printed.

    Understood are lines `node.id=3` (or `broker.id=3`) and `cluster.id=...`; anything else on
    lines of its own is left out, and two ids that differ are none.
    """
    nodes: set[str] = set()
    clusters: set[str] = set()
    for line in text.splitlines():
        found = _IDENTITY.fullmatch(line)
        if found is not None:
            (clusters if found[1] == "cluster.id" else nodes).add(found[2])
    node = nodes.pop() if len(nodes) == 1 else ""
    cluster = clusters.pop() if len(clusters) == 1 else None
    return int(node) if node.isascii() and node.isdecimal() else None, cluster


def _columns(line: str) -> tuple[str, str, str, str]:
    parts = (line.split("\t", _COLUMNS - 1) + [""] * _COLUMNS)[:_COLUMNS]
    # What a host prints is shown to people: nothing in it may steer their terminal.
    kind, name, key, value = ("".join(c for c in part if c.isprintable()) for part in parts)
    return kind, name, key, value


def _clock(text: str) -> tuple[float | None, bool]:
    found = re.match(r"([0-9]{9,11})(\.[0-9]+)?", text)
    if found is None:
        return None, False
    return float(found[0]), found[2] is not None


def _processes(rows: list[tuple[str, str, str, str]]) -> Iterator[ProcessFacts]:
    told: dict[int, dict[str, str]] = {}
    folders: dict[int, dict[str, dict[str, str]]] = {}
    for kind, pid, key, value in rows:
        if not pid.isdecimal() or key == "gone":
            continue
        if kind == "process":
            told.setdefault(int(pid), {})[key] = value
        elif kind == "meta":
            name, equals, text = value.partition("=")
            place = folders.setdefault(int(pid), {}).setdefault(key, {})
            place[name if equals else "trouble"] = text if equals else value
    for number, values in told.items():
        uid, parent = values.get("uid", ""), values.get("ppid", "")
        yield ProcessFacts(
            pid=number,
            main=values.get("main"),
            program=values.get("other", ""),
            uid=int(uid) if uid.isdecimal() else None,
            parent=int(parent) if parent.isdecimal() else None,
            file=values.get("file", ""),
            is_readable="unreadable" not in values,
            values=values,
            log_dirs=tuple(_log_dir(path, meta) for path, meta in folders.get(number, {}).items()),
        )


def _log_dir(path: str, meta: Mapping[str, str]) -> LogDirFacts:
    node = next((meta[key] for key in _NODE_KEYS if key in meta), "")
    return LogDirFacts(
        path=path,
        node_id=int(node) if node.isascii() and node.isdecimal() else None,
        cluster_id=meta.get("cluster.id"),
        trouble=meta.get("trouble", ""),
    )


def _disks(rows: list[tuple[str, str, str, str]]) -> Iterator[DiskFacts]:
    for kind, name, total, available in rows:
        if kind == "disk" and total.isdecimal() and available.isdecimal():
            yield DiskFacts(name=name, total=int(total), available=int(available))


def _open_ports(rows: list[tuple[str, str, str, str]]) -> Iterator[tuple[int, int]]:
    for kind, port, uid, _ in rows:
        if kind == "listen" and re.fullmatch(r"[0-9A-F]{1,4}", port) and uid.isdecimal():
            yield int(port, 16), int(uid)


def _listeners(text: str) -> Iterator[tuple[str, int]]:
    for each in text.split(","):
        found = _LISTENER.fullmatch(each.strip())
        if found is not None:
            yield found["host"].strip("[]"), int(found["port"])
