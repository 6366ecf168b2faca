"""The demo: five real brokers are restarted under load, one freezes meanwhile, nothing is lost."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from healthd.demo.daemon import DaemonProcess
from healthd.demo.fleet import DemoFleet
from healthd.demo.load import Load, LoadResult
from healthd.demo.service import wait_until
from healthd.demo.watch import MinIsrWatch
from healthd.waves.report import report_markdown

INTERVAL_SECONDS = 2
POLICY = {"soakSeconds": 12, "cleanSnapshots": 3, "cleanSeconds": 5}
"""Shortened, so that the demo ends within minutes; the defaults are 120 s, 3 and 60 s."""
SOAK_BEGINS_SECONDS = 3
HOLD_SECONDS = 12
"""How long the frozen broker stays frozen after the hold was seen."""
WAVE_SECONDS = 420
ENDED = {"succeeded", "failed", "aborted"}

Say = Callable[[str], None]


@dataclass(slots=True)
class _Tale:
    """What was seen, for the verdict at the end."""

    began: float = field(default_factory=time.monotonic)
    order: list[int] = field(default_factory=list)
    held_with: list[str] = field(default_factory=list)
    index_at_hold: float | None = None
    frozen: int | None = None

    def line(self, text: str) -> str:
        return f"[{time.monotonic() - self.began:6.1f} s] {text}"


def tell(say: Say, *, keep: bool, wait_for_end: Callable[[], None]) -> int:
    """Run the whole demo; its exit code is 0 when everything went as it should."""
    say("Starting five Kafka brokers, each on a host of its own with sshd and runit ...")
    with (
        tempfile.TemporaryDirectory(prefix="healthd-demo-") as folder,
        DemoFleet.launch() as fleet,
    ):
        fleet.create_topics()
        fleet_file = fleet.write_fleet_file(Path(folder) / "fleet.yaml", probe=True)
        say(
            "Running: 5 brokers in 3 racks (2 + 2 + 1), controllers "
            f"{', '.join(map(str, fleet.controllers))}, RF 4, min.insync.replicas 3."
        )
        with DaemonProcess(
            fleet_file, Path(folder), interval_seconds=INTERVAL_SECONDS, collect_deadline_seconds=8
        ) as daemon:
            daemon.start()
            say(f"healthd serves on {daemon.url}; the interval is {INTERVAL_SECONDS} s here.")
            problems = _play(say, fleet, daemon)
            for problem in problems:
                say(f"NOT AS IT SHOULD BE: {problem}")
            if keep:
                _tell_how_to_look_around(say, fleet, daemon, Path(folder))
                wait_for_end()
            code = daemon.stop()
            if code != 0:
                problems.append(f"the daemon ended with code {code}")
                say(f"NOT AS IT SHOULD BE: {problems[-1]}")
    say("All processes have ended." if not problems else "The demo failed.")
    return 1 if problems else 0


def _play(say: Say, fleet: DemoFleet, daemon: DaemonProcess) -> list[str]:
    tale = _Tale()
    wait_until(lambda: _health(daemon)["class"] == "OK", "the index is known and OK", 60)
    say(tale.line(f"Index before: {_index_words(_health(daemon))}"))
    starts = {node.id: fleet.process_start_time(node.id) for node in fleet.nodes}
    with MinIsrWatch(fleet.bootstrap) as watch, Load(fleet.bootstrap) as load:
        wave = _start_wave(say, tale, fleet, daemon)
        document = _follow(say, tale, fleet, daemon, wave)
        say(tale.line("The wave has ended; the producer stops and the consumer reads to the end."))
        result = load.result()
    same = [
        broker
        for broker, start in starts.items()
        if fleet.process_start_time(broker) in {start, None}
    ]
    report = daemon.get(f"/api/v1/waves/{wave}/report")
    say("\n" + report_markdown(report))
    say(tale.line(f"Index after: {_index_words(_health(daemon))}"))
    _tell_load(say, result, watch)
    problems = _verdict(tale, document["status"], result, watch)
    if sorted(tale.order) != sorted(starts):
        problems.append(f"not every broker was taken exactly once: {tale.order}")
    if same:
        problems.append(f"brokers {same} run their old process, or none")
    return problems


def _start_wave(say: Say, tale: _Tale, fleet: DemoFleet, daemon: DaemonProcess) -> str:
    words = ", ".join(f"{key} {value}" for key, value in POLICY.items())
    say(tale.line(f"Starting a rolling restart of all brokers, shortened: {words}."))
    wave = daemon.post(
        "/api/v1/waves",
        {
            "apiVersion": "healthd/v1",
            "kind": "Wave",
            "name": "demo",
            "reason": "demo: restart every broker under load",
            "playbook": "rolling-restart",
            "stages": [{"name": "all", "clusters": [fleet.cluster], "brokers": "all"}],
            "policy": POLICY,
        },
    )
    return str(wave["wave"])


def _follow(
    say: Say, tale: _Tale, fleet: DemoFleet, daemon: DaemonProcess, wave: str
) -> dict[str, Any]:
    """Print every change until the wave has ended; freeze a broker in the second soak."""
    seen: dict[int, str] = {}
    status = ""
    deadline = time.monotonic() + WAVE_SECONDS
    thaw_at: float | None = None
    while time.monotonic() < deadline:
        document: dict[str, Any] = daemon.get(f"/api/v1/waves/{wave}")
        for node in document["nodes"]:
            if seen.get(node["node"], "pending") != node["status"]:
                say(tale.line(f"broker {node['node']}: {node['status']}  {node['detail']}"))
                if node["status"] == "stopping":
                    tale.order.append(node["node"])
            seen[node["node"]] = node["status"]
        if document["status"] != status:
            status = document["status"]
            say(tale.line(f"wave: {status}"))
        if status in ENDED:
            return document
        if tale.frozen is None:
            tale.frozen = _freeze_in_soak(say, tale, fleet, document)
        elif not tale.held_with and status == "holding":
            thaw_at = _note_hold(say, tale, daemon, document)
        elif thaw_at is not None and time.monotonic() >= thaw_at:
            thaw_at = None
            fleet.thaw(tale.frozen)
            say(tale.line(f"THAWED broker {tale.frozen}; healthd goes on when it is safe again"))
        time.sleep(0.5)
    raise TimeoutError(f"the wave did not end within {WAVE_SECONDS} s: {document}")


def _freeze_in_soak(
    say: Say, tale: _Tale, fleet: DemoFleet, document: dict[str, Any]
) -> int | None:
    """The broker that was frozen: one that is done, while the next one begins its soak.

    Only at its beginning: the cluster itself notices a frozen broker after 9 s, and nothing may be
    down until it has.
    """
    status = {node["node"]: node["status"] for node in document["nodes"]}
    done = [node for node in tale.order if status[node] == "done"]
    soaking = [node for node in tale.order if status[node] == "soaking"]
    if not done or not soaking or document["soak"]["seconds"] > SOAK_BEGINS_SECONDS:
        return None
    fleet.freeze(done[0])
    say(tale.line(f"FROZE broker {done[0]} (SIGSTOP) while broker {soaking[0]} is in its soak"))
    return done[0]


def _note_hold(
    say: Say, tale: _Tale, daemon: DaemonProcess, document: dict[str, Any]
) -> float | None:
    """The time to thaw at, once the hold names the frozen broker and the index shows it."""
    holds = document["gate"]["holds"]
    if not any(hold["code"] == "BROKER_DOWN" for hold in holds):
        return None
    health = _health(daemon)
    tale.index_at_hold = health["healthIndex"]
    tale.held_with = sorted({hold["code"] for hold in holds})
    say(tale.line(f"HOLD. Index now: {_index_words(health)}. The gate waits for:"))
    for code in dict.fromkeys(hold["code"] for hold in holds):
        first, *others = [hold for hold in holds if hold["code"] == code]
        more = f"  (and {len(others)} more)" if others else ""
        say(f"             {code} {first['object']}: {first['detail']}{more}")
    return time.monotonic() + HOLD_SECONDS


def _health(daemon: DaemonProcess) -> dict[str, Any]:
    clusters = daemon.get("/api/v1/clusters")
    name = (clusters["clusters"] if isinstance(clusters, dict) else clusters)[0]["cluster"]
    health: dict[str, Any] = daemon.get(f"/api/v1/clusters/{name}/health")
    return health


def _index_words(health: dict[str, Any]) -> str:
    if health["healthIndex"] is None:
        return "not known yet"
    return (
        f"{health['healthIndex']:.1f} ({health['class']}), "
        f"binding cap {health['bindingCap'] or 'none'}"
    )


def _tell_load(say: Say, result: LoadResult, watch: MinIsrWatch) -> None:
    say(
        f"Messages: {result.produced} produced, {result.consumed} consumed, {result.lost} lost, "
        f"{result.refused} refused; longest pause {result.longest_pause_seconds:.1f} s."
    )
    say(
        f"Partitions under min ISR by our doing: {len(watch.under)} "
        f"(in {watch.looks} looks at the metadata, apart from healthd)."
    )


def _verdict(tale: _Tale, status: str, result: LoadResult, watch: MinIsrWatch) -> list[str]:
    """Everything that is not as it should be."""
    found = {
        f"the wave ended {status}": status != "succeeded",
        "no hold was seen while a broker was frozen": not tale.held_with,
        f"{result.lost} messages lost": result.lost > 0,
        f"{result.refused} messages refused: {result.errors}": result.refused > 0,
        f"{result.produced} messages produced, {result.consumed} consumed": (
            result.produced != result.consumed or result.produced == 0
        ),
        f"under min ISR: {sorted(watch.under)[:5]}": bool(watch.under),
        "the metadata could never be looked at": watch.looks == 0,
    }
    return [text for text, is_wrong in found.items() if is_wrong]


def _tell_how_to_look_around(
    say: Say, fleet: DemoFleet, daemon: DaemonProcess, folder: Path
) -> None:
    environment = " ".join(f"{key}={value}" for key, value in daemon.command_environment().items())
    node = fleet.nodes[0]
    say(
        "\nEverything goes on running. In another terminal:\n"
        f"  export {environment}\n"
        "  healthd status                         # how every cluster is\n"
        f"  healthd status {fleet.cluster}                # and why\n"
        f"  healthd wave start --playbook rolling-restart --cluster {fleet.cluster} "
        "--brokers 4 --reason 'looking around' --watch\n"
        f"  healthd snapshot {fleet.cluster} | healthd ok-to-stop - --brokers 1,2\n"
        f"  curl -s {daemon.url}/metrics | grep health_index\n"
        f"  ssh -p {node.ssh_port} -i {fleet.ssh.key_file} "
        f"-o UserKnownHostsFile={fleet.ssh.known_hosts_file} {fleet.ssh.user}@{node.host}\n"
        f"  kill -STOP {fleet.process_id(4)}   # freeze broker 4; -CONT thaws it\n"
        f"The daemon logs to {daemon.log_file}, its files are in {folder}.\n"
        "Ctrl-C here ends it all."
    )
