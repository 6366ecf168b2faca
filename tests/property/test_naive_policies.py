"""A small sample of the comparison in docs/naive-policies.md."""

from pathlib import Path

import pytest
from support.comparing import (
    ORCHESTRATORS,
    OURS,
    OURS_SAFE,
    Run,
    compared,
    naive,
    ours,
    schedule,
    table,
    table_in,
    with_table,
)
from support.naive import POLICIES
from support.rehearsing import rehearsal_of

PAGE = Path(__file__).parents[2] / "docs" / "naive-policies.md"
SAMPLE = range(300, 308)


@pytest.mark.parametrize("name", [OURS, OURS_SAFE])
def test_healthd_takes_no_partition_under_its_minimum(name: str) -> None:
    runs = [ORCHESTRATORS[name](seed) for seed in SAMPLE]
    assert [run.under + run.offline for run in runs] == [0.0] * len(SAMPLE)


@pytest.mark.parametrize("name", ["process is ready", "fixed 5-minute wait"])
def test_a_question_that_is_not_about_replicas_takes_partitions_under_their_minimum(
    name: str,
) -> None:
    assert any(ORCHESTRATORS[name](seed).under > 0 for seed in SAMPLE)


def test_exporters_that_do_not_answer_are_not_in_the_sum() -> None:
    silent = {"fault": "exporter_lost", "at": 0, "for": 600}
    rehearsal = rehearsal_of({**schedule(0), "faults": [silent]})
    assert naive(rehearsal, POLICIES["sum of gauges is 0"]).under > 0
    assert ours(rehearsal).under == 0


def test_without_faults_only_what_asks_for_replicas_does_no_harm() -> None:
    calm = rehearsal_of({**schedule(0), "faults": []})
    harmful = {name for name, question in POLICIES.items() if naive(calm, question).under > 0}
    assert harmful == {"process is ready"}
    assert ours(calm) == Run(
        is_finished=True, seconds=ours(calm).seconds, under=0.0, offline=0.0, shared=0.0
    )


def test_the_page_has_a_row_for_each_and_none_of_healthds_harms() -> None:
    rows = {row[0]: row for row in table_in(PAGE.read_text("utf-8"))}
    assert set(rows) == set(ORCHESTRATORS)
    for name in (OURS, OURS_SAFE):
        assert rows[name][1:4] == ["0 of 1000", "0", "0"]


def test_two_processes_find_what_one_finds() -> None:
    assert compared(range(2), processes=2) == compared(range(2))


def test_a_table_takes_the_place_of_the_one_before() -> None:
    runs = {"a": [Run(is_finished=True, seconds=90.0, under=1234.5, offline=0.0, shared=7.0)]}
    page = with_table(with_table("before\n", table(runs)) + "after\n", table(runs))
    assert table_in(page) == [["a", "1 of 1", "1,234", "0", "7", "1", "1.5 min"]]
    assert page.startswith("before\n")
    assert page.count("after") == 1
