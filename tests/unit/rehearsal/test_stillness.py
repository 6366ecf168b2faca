"""Leaping over still hours changes no answer."""

from dataclasses import replace
from pathlib import Path

import pytest

from healthd.rehearsal.agenda import Agenda
from healthd.rehearsal.files import read_rehearsal
from healthd.rehearsal.running import rehearse
from healthd.rehearsal.stillness import Stillness

FOLDER = Path(__file__).parents[2] / "rehearsals"


@pytest.mark.parametrize(
    "name",
    [
        "broker-crash-for-good",
        "window-opens-later",
        "lease-stolen",
        "pause-and-resume",
        "rf-one-skipped",
        "metadata-lost",
        "start-fails-then-retried",
        "slow-catch-up-while-held",
        "pause-in-a-long-soak",
        "pause-before-the-clean-run",
    ],
)
def test_a_rehearsal_that_leaps_gives_the_same_answer(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = FOLDER / f"{name}.yaml"
    rehearsal = replace(read_rehearsal(path.read_bytes(), str(path)), until=9000.0)
    leapt = rehearse(rehearsal).as_json()
    monkeypatch.setattr(Stillness, "seconds_to_leap", lambda _self, _daemon: 0.0)
    assert rehearse(rehearsal).as_json() == leapt


def test_a_day_of_holding_takes_few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    path = FOLDER / "quorum-of-one.yaml"
    leaps: list[float] = []
    leap = Agenda.leap

    def counted(agenda: Agenda, seconds: float) -> None:
        leaps.append(seconds)
        leap(agenda, seconds)

    monkeypatch.setattr(Agenda, "leap", counted)
    assert rehearse(read_rehearsal(path.read_bytes(), str(path))).outcome == "holding"
    assert sum(leaps) > 80_000


def test_only_what_changes_something_is_counted_as_having_happened() -> None:
    agenda = Agenda()
    agenda.after(1.0, lambda: None, is_recurring=True)
    agenda.after(2.0, lambda: None, is_look=True)
    agenda.after(3.0, lambda: None)
    agenda.run_until(2.5)
    assert agenda.happened == 0
    agenda.run_until(3.0)
    assert agenda.happened == 1


def test_what_comes_back_keeps_its_rhythm_over_a_leap() -> None:
    agenda, told = Agenda(), []
    agenda.after(3.0, lambda: told.append(("recurring", agenda.now)), is_recurring=True)
    agenda.after(50.0, lambda: told.append(("once", agenda.now)))
    assert agenda.next_event() == 50.0
    agenda.leap(30.0)
    agenda.run_until(60.0)
    assert told == [("recurring", 33.0), ("once", 50.0)]
