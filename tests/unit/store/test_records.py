"""Steps that must never reach a store cannot be built."""

import pytest

from healthd.store.records import EntryKind, Fence, JournalEntry, JournalStep

EFFECT = JournalEntry(kind=EntryKind.EFFECT, body="{}", effect_id="stop-1")


def test_an_effect_without_an_id_is_no_entry() -> None:
    with pytest.raises(ValueError, match="effect id"):
        JournalEntry(kind=EntryKind.EFFECT, body="{}")


def test_an_event_with_an_effect_id_is_no_entry() -> None:
    with pytest.raises(ValueError, match="effect id"):
        JournalEntry(kind=EntryKind.EVENT, body="{}", effect_id="stop-1")


def test_an_outcome_is_only_written_by_finishing_its_effect() -> None:
    with pytest.raises(ValueError, match="finishing"):
        JournalEntry(kind=EntryKind.OUTCOME, body="{}", effect_id="stop-1")


def test_an_effect_cannot_be_intended_without_a_fence() -> None:
    with pytest.raises(ValueError, match="fence"):
        JournalStep(
            wave_id="w", expected_version=1, at=0.0, status="running", state="{}", entries=(EFFECT,)
        )


def test_a_lease_cannot_be_released_without_its_fence() -> None:
    with pytest.raises(ValueError, match="fence"):
        JournalStep(
            wave_id="w",
            expected_version=1,
            at=0.0,
            status="aborted",
            state="{}",
            releases_lease=True,
        )


def test_an_effect_under_a_fence_is_a_step() -> None:
    step = JournalStep(
        wave_id="w",
        expected_version=1,
        at=0.0,
        status="running",
        state="{}",
        entries=(EFFECT,),
        fence=Fence(cluster="c", token=1),
    )
    assert step.entries == (EFFECT,)
