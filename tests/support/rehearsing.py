"""Rehearsals of the adversary: run, judged, made small and kept."""

import io
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from support.adversary import broken
from support.schedules import LONGEST_FAULT, kills, schedule, with_help
from support.shrinking import Case, shrunk

from healthd.config.playbooks import load_playbook
from healthd.model.snapshot import ClusterSnapshot
from healthd.rehearsal.daemon import Daemon
from healthd.rehearsal.document import parse_rehearsal
from healthd.rehearsal.rehearsal import Rehearsal
from healthd.rehearsal.running import result_of
from healthd.rehearsal.striking import Schedule
from healthd.rehearsal.world import World
from healthd.waves.playbook import Playbook

Document = dict[str, Any]
KILLS = "# killed at journal writes:"
"""A line of a kept file; how the daemon dies at a write is not a rehearsal's to say."""


@cache
def _playbook(name: str) -> Playbook:
    return load_playbook(name, None)


def _no_file(path: str) -> ClusterSnapshot:
    raise AssertionError(f"a schedule has its snapshot in it, not in {path}")


def rehearsal_of(document: Document) -> Rehearsal:
    """The rehearsal of a document that is known to be right."""
    parsed = parse_rehearsal(document, read_snapshot=_no_file, find_playbook=_playbook)
    assert isinstance(parsed, Rehearsal), parsed
    return parsed


def run(case: Case) -> Document:
    """What came of it, some time after the wave has ended, so that every fault is over."""
    rehearsal = rehearsal_of(case.document)
    world = World.of(rehearsal.snapshot, timing=rehearsal.model, seed=rehearsal.seed)
    daemon = Daemon(world, rehearsal.wave())
    faults = Schedule(world, daemon, rehearsal.faults)

    def die(write: int) -> None:
        if write in case.kills:
            daemon.kill(case.kills[write])

    def is_over() -> bool:
        state = daemon.state
        is_stuck = state.is_paused and not state.in_flight
        return state.status.has_ended or (is_stuck and not faults.is_anything_to_come)

    daemon.keeping.after_write = die
    faults.begin()
    daemon.begin()
    world.agenda.run_until(rehearsal.until, is_over=is_over)
    is_cut_off = not is_over()
    if not is_cut_off:
        world.agenda.run_until(world.agenda.now + 2 * LONGEST_FAULT)
    result = result_of(rehearsal, world, daemon, is_cut_off=is_cut_off).as_json()
    result["violations"] += [
        {"rule": "steps", "broker": node, "t": None, "detail": words}
        for node, words in world.hosts.steps.violations
    ]
    return result


def judged(case: Case) -> list[str]:
    """What a case breaks, in words; an error of the model or of healthd is one thing more."""
    try:
        return broken(case.document, run(case), case.kills)
    except Exception as error:  # noqa: BLE001 - a hunt goes on, and says what it found.
        return [f"{type(error).__name__}: {error}"]


def case_of(seed: int) -> Case:
    """The case of a seed, with somebody who helps when all is over."""
    return Case(document=with_help(schedule(seed)), kills=kills(seed))


def tried(seed: int) -> list[str]:
    """What the schedule of a seed breaks."""
    return judged(case_of(seed))


def keep(seed: int, folder: Path, *, tries: int = 300) -> Path:
    """The file with the smallest case of a seed that still breaks the same."""
    case = shrunk(case_of(seed), judged, tries=tries)
    words = judged(case)
    out = io.StringIO()
    out.writelines(f"# {line}\n" for line in [f"Found by seed {seed}.", *words[:3]])
    if case.kills:
        out.write(f"{KILLS} {dict(case.kills)}\n")
    yaml = YAML()
    yaml.default_flow_style = None
    yaml.width = 100
    yaml.dump(case.document, out)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"seed-{seed}.yaml"
    path.write_text(out.getvalue(), encoding="utf-8")
    return path


def read_case(path: Path) -> Case:
    """A case that was kept."""
    text = path.read_text(encoding="utf-8")
    killed: dict[int, float] = {}
    for line in text.splitlines():
        if line.startswith(KILLS):
            killed = YAML(typ="safe").load(line.removeprefix(KILLS))
    return Case(document=YAML(typ="safe").load(text), kills=killed)
