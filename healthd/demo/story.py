"""The demo: five real brokers are restarted under load, one freezes meanwhile, nothing is lost.

Then two of them are killed, and clients follow their profile to a second cluster and back.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from healthd.demo.daemon import DaemonProcess
from healthd.demo.failover import PROFILE, follow_profile
from healthd.demo.files import shipped_config
from healthd.demo.fleet import DemoFleet
from healthd.demo.fleet_file import write_fleet_file
from healthd.demo.load import Load, LoadResult
from healthd.demo.nodes import THREE
from healthd.demo.service import DemoTimeoutError, wait_until
from healthd.demo.telling import Clock, Say, health, index_words, show
from healthd.demo.watch import MinIsrWatch
from healthd.waves.report import report_markdown

INTERVAL_SECONDS = 2
POLICY = {"soakSeconds": 12, "cleanSnapshots": 3, "cleanSeconds": 5}
"""Shortened, so that the demo ends within minutes; the defaults are 120 s, 3 and 60 s."""
SOAK_BEGINS_SECONDS = 3
HOLD_SECONDS = 12
"""How long the frozen broker stays frozen after the hold was seen."""
WAVE_SECONDS = 900
"""Three minutes on two idle cores; a busy machine gets time."""
ENDED = {"succeeded", "failed", "aborted"}
EAST, WEST = "payments-east", "payments-west"


@dataclass(slots=True)
class _Tale:
    """What was seen, for the verdict at the end."""

    clock: Clock
    order: list[int] = field(default_factory=list)
    held_with: list[str] = field(default_factory=list)
    index_at_hold: float | None = None
    frozen: int | None = None

    def line(self, text: str) -> str:
        return self.clock.line(text)


def tell(say: Say, *, keep: bool, wait_for_end: Callable[[], None]) -> int:
    """Run the whole demo; its exit code is 0 when everything went as it should."""
    whole = Clock()
    say(
        "Starting two Kafka clusters, five brokers and three, each broker on a host of its own "
        "with sshd and runit ..."
    )
    with (
        tempfile.TemporaryDirectory(prefix="healthd-demo-") as folder,
        DemoFleet.launch(EAST, wait=False) as fleet,
        DemoFleet.launch(WEST, shape=THREE, wait=False) as second,
    ):
        for one in (fleet, second):
            one.wait_until_up()
            one.create_topics()
            _tell_cluster(say, one)
        fleet_file = _write_fleet_file(Path(folder) / "fleet.yaml", fleet, second)
        with DaemonProcess(
            fleet_file, Path(folder), interval_seconds=INTERVAL_SECONDS, collect_deadline_seconds=8
        ) as daemon:
            daemon.start()
            say(
                f"healthd serves on {daemon.url}; the interval is {INTERVAL_SECONDS} s here, and "
                "config/scoring.demo.yaml\ndivides all times of routing by 20: in production a "
                "cluster comes back after minutes, not seconds."
            )
            clock = Clock()
            problems = _play(say, clock, fleet, second, daemon)
            for problem in problems:
                say(f"NOT AS IT SHOULD BE: {problem}")
            if keep:
                _tell_how_to_look_around(say, fleet, daemon, Path(folder))
                wait_for_end()
            code = daemon.stop()
            if code != 0:
                problems.append(f"the daemon ended with code {code}")
                say(f"NOT AS IT SHOULD BE: {problems[-1]}")
    minutes, seconds = divmod(round(whole.seconds), 60)
    end = "All processes have ended" if not problems else "The demo failed"
    say(f"{end}, after {minutes} min {seconds} s.")
    return 1 if problems else 0


def _write_fleet_file(path: Path, fleet: DemoFleet, second: DemoFleet) -> Path:
    members = [fleet.cluster, second.cluster]
    write_fleet_file(
        path,
        [one.entry(probe=True) for one in (fleet, second)],
        scoringProfile=str(shipped_config("scoring.demo.yaml")),
        profiles=[{"name": PROFILE, "order": "preference", "members": members}],
    )
    return path


def _tell_cluster(say: Say, fleet: DemoFleet) -> None:
    shape = fleet.shape
    say(
        f"Running: {fleet.cluster}, {len(shape.racks)} brokers in {len(set(shape.racks.values()))} "
        f"racks, controllers {', '.join(map(str, shape.controllers))}, RF "
        f"{shape.replication_factor}, min.insync.replicas {shape.min_insync_replicas}."
    )


def _play(
    say: Say, clock: Clock, fleet: DemoFleet, second: DemoFleet, daemon: DaemonProcess
) -> list[str]:
    for one in (fleet, second):
        what = f"the index of {one.cluster} is known and OK"
        wait_until(lambda one=one: _is_well_known(daemon, one), what, 60)  # type: ignore[misc]
    show(say, daemon, "status")
    say("--- 1. A rolling restart under load; a broker freezes meanwhile ---")
    problems = _restart(say, clock, fleet, daemon)
    say("\n--- 2. Two brokers die; clients follow their profile to another cluster, and back ---")
    problems += follow_profile(say, clock, daemon, fleet, second)
    show(say, daemon, "status")
    return problems


def _is_well_known(daemon: DaemonProcess, fleet: DemoFleet) -> bool:
    found = health(daemon, fleet.cluster)
    return bool(found["class"] == "OK" and found["completeness"] == 1)


def _restart(say: Say, clock: Clock, fleet: DemoFleet, daemon: DaemonProcess) -> list[str]:
    tale = _Tale(clock)
    say(tale.line(f"Index before: {index_words(health(daemon, fleet.cluster))}"))
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
    report = report_markdown(daemon.get(f"/api/v1/waves/{wave}/report"))
    # Its timeline is what was told above.
    say("\n" + report.partition("\n## Timeline")[0])
    say(tale.line(f"Index after: {index_words(health(daemon, fleet.cluster))}"))
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
            say(tale.line(f"wave: {status}{_why(document)}"))
        if status in ENDED:
            return document
        if tale.frozen is None:
            tale.frozen = _freeze_in_soak(say, tale, fleet, document)
        elif not tale.held_with and status == "holding":
            thaw_at = _note_hold(say, tale, fleet, daemon, document)
        elif thaw_at is not None and time.monotonic() >= thaw_at:
            thaw_at = None
            fleet.thaw(tale.frozen)
            say(tale.line(f"THAWED broker {tale.frozen}; healthd goes on when it is safe again"))
        time.sleep(0.5)
    raise DemoTimeoutError(
        f"the wave did not end within {WAVE_SECONDS} s: it is {status}{_why(document)}\n"
        "Is this machine very busy? Its brokers take long to start then."
    )


def _why(document: dict[str, Any]) -> str:
    """What the gate waits for first, while it holds the wave."""
    holds = document["gate"]["holds"]
    if document["status"] != "holding" or not holds:
        return ""
    return f"  {holds[0]['code']} {holds[0]['object']}: {holds[0]['detail']}"


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
    say: Say, tale: _Tale, fleet: DemoFleet, daemon: DaemonProcess, document: dict[str, Any]
) -> float | None:
    """The time to thaw at, once the hold names the frozen broker and the index shows it."""
    holds = document["gate"]["holds"]
    if not any(hold["code"] == "BROKER_DOWN" for hold in holds):
        return None
    found = health(daemon, fleet.cluster)
    tale.index_at_hold = found["healthIndex"]
    tale.held_with = sorted({hold["code"] for hold in holds})
    say(tale.line(f"HOLD. Index now: {index_words(found)}. The gate waits for:"))
    for code in dict.fromkeys(hold["code"] for hold in holds):
        first, *others = [hold for hold in holds if hold["code"] == code]
        more = f"  (and {len(others)} more)" if others else ""
        say(f"             {code} {first['object']}: {first['detail']}{more}")
    return time.monotonic() + HOLD_SECONDS


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
        f"  healthd status {fleet.cluster}           # and why\n"
        f"  healthd history {fleet.cluster}          # and what has happened to it\n"
        f"  healthd route {PROFILE}                 # where clients of the profile are sent\n"
        f"  healthd route --force {fleet.cluster}=OUT --for 5m --reason 'looking around'\n"
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
