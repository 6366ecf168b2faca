"""The adversary finds what is wrong: each defect below is one that somebody could make."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.adversary import broken
from support.rehearsing import case_of, judged, keep, read_case, run, tried
from support.schedules import kills, schedule, with_help
from support.shrinking import Case, kinds_of, shrunk

from healthd.waves import choice, gate, holding, reducer
from healthd.waves.effects import Step

LOOKED_AT = 60
SAFE = [seed for seed in range(400) if schedule(seed)["wave"]["concurrency"] == "safe"][:20]


def calm_kills() -> Iterator[Case]:
    """A wave without faults, whose daemon dies at one of its first writes."""
    document = with_help({**schedule(7), "faults": []})
    return (Case(document=document, kills={write: 1.0}) for write in range(1, 12))


def cases(*seeds: int) -> Iterator[Case]:
    return (case_of(seed) for seed in seeds)


def found(tried_ones: Iterable[Case]) -> Case:
    """The first case that breaks something."""
    for case in tried_ones:
        if judged(case):
            return case
    pytest.fail("nothing was broken")


def nothing(*_args: Any, **_more: Any) -> tuple[()]:
    return ()


def the_gate_sees_nothing(patch: pytest.MonkeyPatch) -> Iterator[Case]:
    patch.setattr(gate, "snapshot_holds_found", nothing)
    return cases(*range(LOOKED_AT))


def one_clean_reading_is_enough(patch: pytest.MonkeyPatch) -> Iterator[Case]:
    patch.setattr(holding, "clean_enough", nothing)
    return cases(*range(LOOKED_AT))


def nobody_looks_after_a_crash(patch: pytest.MonkeyPatch) -> Iterator[Case]:
    patch.setattr(reducer, "_resumed", lambda state, _event: Step(state=state))
    return calm_kills()


def nobody_asks_what_would_break(patch: pytest.MonkeyPatch) -> Iterator[Case]:
    patch.setattr(choice, "ok_to_stop", nothing)
    patch.setattr(choice, "each_set", lambda _snapshot, sets, **_more: [() for _ in sets])
    patch.setattr(choice, "company", lambda _snapshot, plain, **_more: tuple(plain))
    return cases(*SAFE)


DEFECTS = (
    the_gate_sees_nothing,
    one_clean_reading_is_enough,
    nobody_looks_after_a_crash,
    nobody_asks_what_would_break,
)


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.__name__)
def test_a_defect_is_found_within_a_few_schedules(
    defect: Callable[[pytest.MonkeyPatch], Iterator[Case]], monkeypatch: pytest.MonkeyPatch
) -> None:
    found(defect(monkeypatch))


def test_a_daemon_that_dies_at_any_of_its_first_writes_breaks_nothing() -> None:
    assert [judged(case) for case in calm_kills()] == [[]] * 11


def test_a_finding_is_made_small_kept_and_read_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(holding, "clean_enough", nothing)
    seed = next(seed for seed in range(LOOKED_AT) if judged(case_of(seed)))
    words = judged(case_of(seed))
    path = keep(seed, tmp_path, tries=25)
    case = read_case(path)
    assert kinds_of(judged(case)) & kinds_of(words)
    assert len(case.document["faults"]) <= len(schedule(seed)["faults"])
    monkeypatch.undo()
    assert judged(case) == []


def test_shrinking_keeps_only_the_faults_and_kills_that_matter() -> None:
    faults = [{"fault": "pause", "at": at} for at in range(9)]
    case = Case(document={**schedule(3), "faults": faults}, kills={4: 1.0, 9: 1.0})

    def judge(it: Case) -> list[str]:
        left = {row["at"] for row in it.document["faults"]}
        return ["broken 1"] if {2, 7} <= left and 9 in it.kills else []

    small = shrunk(case, judge)
    assert [row["at"] for row in small.document["faults"]] == [2, 7]
    assert dict(small.kills) == {9: 1.0}
    assert small.document["wave"]["policy"] == {}


def test_one_seed_is_one_schedule() -> None:
    assert [schedule(seed) for seed in range(20)] == [schedule(seed) for seed in range(20)]
    assert [kills(seed) for seed in range(20)] == [kills(seed) for seed in range(20)]
    assert run(case_of(11)) == run(case_of(11))


def test_the_schedules_have_every_fault_every_kind_of_cluster_and_every_concurrency() -> None:
    documents = [schedule(seed) for seed in range(400)]
    kinds = {row["fault"] for it in documents for row in with_help(it)["faults"]}
    from healthd.rehearsal.faults import FaultKind  # noqa: PLC0415 - named here as the contract's.

    assert kinds == {kind.value for kind in FaultKind}
    assert {it["wave"]["concurrency"] for it in documents} == {1, 2, 3, "safe"}
    assert {it["snapshot"]["quorum"]["mode"] for it in documents} == {"kraft", "zookeeper"}
    assert any("windows" in it["wave"]["policy"] for it in documents)
    assert any(kills(seed) for seed in range(20))


@pytest.mark.parametrize("seed", range(12))
def test_a_sample_of_schedules_breaks_nothing(seed: int) -> None:
    assert tried(1000 + seed) == []


def test_a_result_that_breaks_a_promise_is_told_in_words() -> None:
    document = {**schedule(1), "faults": []}
    document["wave"] = {**document["wave"], "concurrency": 1}
    result = run(Case(document=document, kills={}))
    assert broken(document, result, {}) == []
    told = broken(
        document,
        {
            **result,
            "outcome": "holding",
            "down": [3],
            "maxInFlight": 2,
            "restarts": {"1": 2},
            "causedUnderMinIsrPartitionSeconds": 5,
            "violations": [{"t": 1, "rule": "clean", "broker": 1, "detail": "too early"}],
            "events": [{"t": 7, "event": "gate", "state": "closed", "reasons": []}],
        },
        {},
    )
    assert len(told) >= 6
