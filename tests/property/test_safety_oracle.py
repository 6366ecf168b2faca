"""ok-to-stop and the gate's holds against a second reading of the rules that shares no code.

What the oracle says is in `support/safety_oracle.py` and `gate_oracle.py`, sentence by sentence of
restart-safety.md sections 1 and 2 and of the contract's ClusterSnapshot; the clusters are those of
`support/safety_cases.py`. The command is asked as a person would ask it: with the document's text.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.gate_oracle import holds
from support.safety_beside import as_sets, differences, options
from support.safety_cases import case
from support.safety_oracle import answer
from support.safety_reading import Asked, Row

from healthd.cli import ok_to_stop as command
from healthd.model import parse
from healthd.model.snapshot import ClusterSnapshot, Quorum, Voter, remembered
from healthd.safety import gate_partitions, partitions, quorum

SAMPLE = range(600)
LOOKED_AT = 400
PROVED = 25_000
FILES = 300


def differing(seeds: range) -> dict[int, list[dict[str, Any]]]:
    """The seeds on which healthd and the oracle do not agree, with what each says."""
    return {seed: found for seed in seeds if (found := differences(case(seed)))}


def test_a_sample_of_clusters_is_judged_as_the_rules_say() -> None:
    assert differing(SAMPLE) == {}


@pytest.mark.prove
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(1, 5))
def test_twenty_five_thousand_clusters_are_judged_as_the_rules_say(part: int) -> None:
    assert differing(range(part * PROVED, (part + 1) * PROVED)) == {}


@pytest.mark.parametrize("brokers", [None, (1, 2)], ids=["every node and rack", "two brokers"])
def test_one_call_answers_for_many_files_as_the_rules_say(
    brokers: tuple[int, ...] | None, tmp_path: Path
) -> None:
    asked = Asked(margin=1, allow_rf_one=("o*",), allow_quorum_without_spare=True, assume_min_isr=2)
    documents = [case(seed).document for seed in range(2000, 2000 + FILES)]
    for number, document in enumerate(documents):
        (tmp_path / f"{number}.json").write_text(json.dumps(document))
    names = [f"{number}.json" for number in range(FILES)]
    lines = called([*names, *options(brokers, asked)], tmp_path)
    assert [line.pop("file") for line in lines] == names
    answered = 0
    for line, document in zip(lines, documents, strict=True):
        if set(brokers or ()) <= {row["id"] for row in document["brokers"]}:
            assert as_sets(line) == answer(document, brokers, asked)
            answered += 1
        else:
            assert list(line) == ["error"]
    assert answered > FILES / 20


def called(words: list[str], where: Path) -> list[Row]:
    """What the real command prints for several FILEs, line by line."""
    argv = [sys.executable, "-m", "healthd", "ok-to-stop", *words]
    done = subprocess.run(argv, cwd=where, capture_output=True, check=False, timeout=120)
    assert done.returncode in {0, 2}, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_sample_gives_every_blocker_every_hold_and_clear_answers() -> None:
    blockers, closed, calm = set(), set(), set()
    for seed in SAMPLE:
        it = case(seed)
        for brokers, asked in it.questions:
            if brokers is not None:
                told = answer(it.document, brokers, asked)
                blockers |= {code for code, _ in told["blockers"]}
                closed |= {(code, kind_of(where)) for code, where in told["gate"]["holds"]}
                calm |= {("ok", told["ok"]), ("clear", told["gate"]["clear"])}
        calm |= {("wave", not holds(document, wave, asked)) for document, wave, asked in it.waves}
    assert blockers == {
        "PARTITION_OFFLINE", "RF_ONE", "MIN_ISR_UNKNOWN", "RF_LE_MIN_ISR", "UNDER_MIN_ISR",
        "WOULD_GO_UNDER_MIN_ISR", "WOULD_BREAK_MARGIN", "CONTROLLER_ABSENT", "QUORUM_UNKNOWN",
        "QUORUM_WITHOUT_SPARE", "WOULD_LOSE_QUORUM", "BROKER_RECOVERING",
    }  # fmt: skip
    assert closed == {
        *((code, kind) for code in ("EVIDENCE_STALE", "EVIDENCE_MISSING")
          for kind in ("source", "broker")),
        *((code, "cluster") for code in ("UNREACHABLE", "CONTROLLER_ABSENT", "QUORUM_UNKNOWN")),
        *(("REASSIGNMENT", kind) for kind in ("cluster", "partition")),
        *((f"BROKER_{word}", "broker") for word in (
            "DOWN", "FENCED", "STARTING", "RECOVERING", "STOPPING", "NOT_RUNNING", "STATE_UNKNOWN",
        )),
        *((f"PARTITION_{word}", "partition") for word in (
            "OFFLINE", "UNDER_MIN_ISR", "UNDER_REPLICATED",
        )),
        ("MIN_ISR_UNKNOWN", "partition"), ("VOTER_BEHIND", "node"),
    }  # fmt: skip
    assert calm == {(what, is_it) for what in ("ok", "clear", "wave") for is_it in (True, False)}


def kind_of(where: str) -> str:
    kind, _, rest = where.partition(":")
    return kind if rest else "partition"


def test_one_seed_is_one_case() -> None:
    assert [case(seed) for seed in range(50)] == [case(seed) for seed in range(50)]


def who_is_leaving_counts_as_in_sync(patch: pytest.MonkeyPatch) -> None:
    def not_down(snapshot: ClusterSnapshot) -> frozenset[int]:
        return frozenset(broker.id for broker in snapshot.brokers if not broker.is_down)

    patch.setattr(partitions, "serving_brokers", not_down)


def the_fast_way_forgets_the_margin(patch: pytest.MonkeyPatch) -> None:
    honest = partitions._spare

    def spare(rules: Any, factor: int) -> int:
        return factor - rules.min_isr if honest(rules, factor) >= 0 else -1

    patch.setattr(partitions, "_spare", spare)


def a_voter_that_has_a_time_counts_as_caught_up(patch: pytest.MonkeyPatch) -> None:
    def has_a_time(_quorum: Quorum, voter: Voter) -> bool:
        return voter.last_caught_up_ms is not None and voter.last_caught_up_ms >= 0

    patch.setattr(quorum, "caught_up", has_a_time)


def what_was_never_seen_counts_as_not_configured(patch: pytest.MonkeyPatch) -> None:
    honest = parse._ages

    def seen(value: Any, path: str) -> dict[Any, float | None]:
        return {group: age for group, age in honest(value, path).items() if age is not None}

    patch.setattr(parse, "_ages", seen)


def nobody_waits_for_repair(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(command, "repairs_among", lambda _snapshot, _brokers: frozenset[int]())


def what_is_remembered_answers_another_question(patch: pytest.MonkeyPatch) -> None:
    def forgetful(topics: Any, about: str, _key: Any, make: Callable[[], Any]) -> Any:
        return remembered(topics, about, "whoever asks", make)

    patch.setattr(gate_partitions, "remembered", forgetful)


DEFECTS = (
    who_is_leaving_counts_as_in_sync,
    the_fast_way_forgets_the_margin,
    a_voter_that_has_a_time_counts_as_caught_up,
    what_was_never_seen_counts_as_not_configured,
    nobody_waits_for_repair,
    what_is_remembered_answers_another_question,
)


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.__name__)
def test_a_defect_is_seen_within_a_few_clusters(
    defect: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    defect(monkeypatch)
    assert any(differences(case(seed)) for seed in range(LOOKED_AT))
