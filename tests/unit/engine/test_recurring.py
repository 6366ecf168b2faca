"""Waves that recur: when they are due, never two of the same, and what is refused."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.engine import request
from support.fleet_life import FleetLife, Site
from support.virtual_time import in_virtual_time

from healthd.config.fleet import Fleet
from healthd.config.problems import Problem
from healthd.config.wave_check import WaveContext
from healthd.config.wave_files import RecurringWave, read_wave_files
from healthd.engine.journal import StoreThread
from healthd.engine.recurring import Recurring, is_run_of, next_run
from healthd.engine.view import OrderRefused, Refusal
from healthd.store.memory import MemoryStore
from healthd.waves.cron import Recurrence, parse_schedule
from healthd.waves.spec_findings import Findings

START = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
FILE = """
apiVersion: healthd/v1
kind: Wave
name: {name}
reason: monthly restart
playbook: rolling-restart
stages: [{{name: all, clusters: [payments]}}]
{schedule}
"""
CONTEXT = WaveContext(fleet=lambda: Fleet(clusters=()), is_complete=True)
SCHEDULE = 'schedule: {cron: "0 22 * * thu", timezone: Europe/Berlin}'


def recurrence(cron: str, timezone: str = "Europe/Berlin") -> Recurrence:
    found = Findings()
    parsed = parse_schedule({"cron": cron, "timezone": timezone}, (), found)
    assert parsed is not None, found.problems
    return parsed


@pytest.mark.parametrize(
    ("cron", "after", "due"),
    [
        pytest.param("0 22 * * thu", "2026-01-01T12:00", "2026-01-01T21:00", id="today"),
        pytest.param("0 22 * * 4", "2026-01-01T21:00", "2026-01-08T21:00", id="four is Thursday"),
        pytest.param("0 22 * * 0", "2026-01-01T12:00", "2026-01-04T21:00", id="zero is Sunday"),
        pytest.param("0 22 1 * *", "2026-06-15T00:00", "2026-07-01T20:00", id="summer time"),
        pytest.param("30 2 29 3 *", "2026-03-01T00:00", "2026-03-29T01:30", id="no such hour"),
        pytest.param("0 0 31 2 *", "2026-01-01T00:00", None, id="never"),
    ],
)  # fmt: skip
def test_the_calendar_is_that_of_its_time_zone(cron: str, after: str, due: str | None) -> None:
    found = next_run(recurrence(cron), datetime.fromisoformat(after).replace(tzinfo=UTC))
    text = None if found is None else found.astimezone(UTC).strftime("%Y-%m-%dT%H:%M")
    assert text == due


def a_wave(name: str = "monthly") -> RecurringWave:
    return RecurringWave(
        file=f"/waves/{name}.yaml",
        name=name,
        recurrence=recurrence("0 22 * * thu"),
        document={"name": name},
    )


class Bench:
    """Recurring waves over a start that a test scripts."""

    def __init__(self, *waves: RecurringWave) -> None:
        self.waves, self.problems = waves, list[Problem]()
        self.started: list[Mapping[str, Any]] = []
        self.running: list[str] = []
        self.refusal: OrderRefused | None = None
        self.store = MemoryStore()
        self.recurring = Recurring(
            lambda: (self.waves, self.problems),
            start=self._start,
            running=lambda: self.running,
            store=StoreThread(self.store),
            wall=START.timestamp,
        )

    async def _start(self, document: Mapping[str, Any]) -> Any:
        if self.refusal is not None:
            raise self.refusal
        self.started.append(document)
        return SimpleNamespace(state=SimpleNamespace(wave="monthly-20260101-220000-ab12"))


async def test_a_wave_that_is_due_is_started_and_told_of() -> None:
    bench = Bench(a_wave())
    await bench.recurring.load()
    await bench.recurring.fire("monthly")
    assert bench.started == [{"name": "monthly"}]
    (planned,) = bench.recurring.planned()
    assert planned["nextRun"] == "2026-01-01T21:00:00Z"
    assert planned["last"]["wave"] == "monthly-20260101-220000-ab12"


async def test_there_are_never_two_of_the_same() -> None:
    bench = Bench(a_wave())
    await bench.recurring.load()
    bench.running = ["monthly-20251201-220000-ab12"]
    await bench.recurring.fire("monthly")
    assert bench.started == []
    (planned,) = bench.recurring.planned()
    assert planned["last"]["refused"] == "monthly-20251201-220000-ab12 has not ended"
    (record,) = bench.store.audit_records()
    assert (record.who, record.what, record.target) == (
        "schedule", "wave_not_started", "/waves/monthly.yaml",
    )  # fmt: skip


async def test_a_wave_that_is_refused_is_on_record() -> None:
    bench = Bench(a_wave())
    bench.refusal = OrderRefused(Refusal.LEASED, "cluster payments is leased: ann has it")
    await bench.recurring.load()
    await bench.recurring.fire("monthly")
    assert "ann has it" in bench.store.audit_records()[0].why


async def test_a_mistake_in_a_file_leaves_what_was_good() -> None:
    bench = Bench(a_wave())
    await bench.recurring.load()
    bench.waves = ()
    bench.problems = [Problem(file="x.yaml", message="is wrong", action="correct it")]
    await bench.recurring.load()
    assert [wave["name"] for wave in bench.recurring.planned()] == ["monthly"]
    bench.problems = []
    await bench.recurring.load()
    assert bench.recurring.planned() == []
    await bench.recurring.fire("monthly")
    assert bench.started == []


async def test_jobs_are_coalesced_with_a_grace_and_one_at_a_time() -> None:
    bench = Bench(a_wave(), a_wave("yearly"))
    await bench.recurring.begin()
    jobs = bench.recurring._scheduler.get_jobs()
    assert {(job.id, job.coalesce, job.max_instances, job.misfire_grace_time) for job in jobs} == {
        ("monthly", True, 1, 300), ("yearly", True, 1, 300),
    }  # fmt: skip
    bench.recurring.close()
    await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("name", "wave", "is_it"),
    [
        ("june", "june-20260101-220000-ab12", True),
        ("june", "june-2-20260101-220000-ab12", False),
        ("june", "june-20260101-220000-ab12.1.payments", False),
        ("ju.e", "june-20260101-220000-ab12", False),
    ],
)
def test_a_run_is_known_by_its_id(name: str, wave: str, *, is_it: bool) -> None:
    assert is_run_of(name, wave) is is_it


def test_a_folder_is_read_and_only_what_recurs_is_kept(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(FILE.format(name="b", schedule=SCHEDULE))
    (tmp_path / "a.yaml").write_text(FILE.format(name="a", schedule=SCHEDULE))
    (tmp_path / "once.yaml").write_text(FILE.format(name="once", schedule=""))
    (tmp_path / "note.txt").write_text("not a wave")
    waves, problems = read_wave_files(tmp_path, CONTEXT)
    assert [wave.name for wave in waves] == ["a", "b"]
    assert problems == []
    assert "schedule" not in waves[0].document


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (FILE.format(name="a", schedule="schedule: {cron: x, timezone: UTC}"), "five fields"),
        (FILE.format(name="a", schedule=SCHEDULE).replace("reason: monthly restart", ""), "reason"),
        ("a: [", "bad.yaml"),
        (
            FILE.format(name="a", schedule=SCHEDULE).replace("rolling-", "rollin-"),
            "bad.yaml:6:11: playbook: there is no playbook rollin-restart; there are: ",
        ),
        (
            FILE.format(name="a", schedule=SCHEDULE + "\nvariables: {heap: 4}"),
            "bad.yaml:9:13: variables.heap: is given in the wave file, but the playbook has no",
        ),
    ],
    ids=["cron", "no reason", "no YAML", "no playbook", "no variable"],
)
def test_a_bad_file_is_a_problem_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    waves, problems = read_wave_files(tmp_path, CONTEXT)
    assert waves == ()
    assert words in str(problems[0])


def test_a_folder_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    assert "correct waveDir" in str(read_wave_files(tmp_path / "none", CONTEXT)[1][0])
    assert read_wave_files(None, CONTEXT) == ((), [])


def test_two_files_of_one_name_are_a_problem(tmp_path: Path) -> None:
    for file in ("x", "y"):
        (tmp_path / f"{file}.yaml").write_text(FILE.format(name="same", schedule=SCHEDULE))
    assert "is in" in str(read_wave_files(tmp_path, CONTEXT)[1][0])


@in_virtual_time
async def test_a_wave_with_a_schedule_is_not_started_by_hand() -> None:
    life = await FleetLife(Site("payments", 1)).begin()
    body = request() | {"schedule": {"cron": "0 22 * * thu", "timezone": "UTC"}}
    with pytest.raises(OrderRefused, match="waveDir"):
        await life.waves.start(body, by="ann")
    await life.die()
