"""`healthd history` and `healthd status --at`; the outputs are the examples in docs/history.md.

`HEALTHD_WRITE_DOCS=1` writes them anew.
"""

import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.incident import NIGHT, ROWS, WELL, a_row, record

from healthd.cli.exits import Exit

PAGE = Path(__file__).parents[3] / "docs" / "history.md"
EXAMPLES = (
    "history payments --from 2026-01-01T02:00:00Z --to 2026-01-01T03:10:00Z",
    "status --at 2026-01-01T02:30:00Z",
    "status payments --at 2026-01-01T02:36:00Z",
)
_BLOCK = re.compile(r"(```console\n\$ healthd ([^\n]+)\n)(.*?)(```)", re.DOTALL)
SPAN = ("--from", "2026-01-01T02:00:00Z", "--to", "2026-01-01T03:10:00Z")


@pytest.fixture
def night(served: Any) -> Any:
    record(served.daemon.store)
    served.daemon.views = {"clickstream": served.daemon.views["payments"], **served.daemon.views}
    return served


def test_the_page_shows_what_the_commands_print(night: Any) -> None:
    def printed(match: re.Match[str]) -> str:
        return match[1] + str(night.run(*match[2].split()).output) + match[4]

    text = PAGE.read_text()
    made = _BLOCK.sub(printed, text)
    if os.environ.get("HEALTHD_WRITE_DOCS"):
        PAGE.write_text(made)
        text = made
    assert text == made
    assert tuple(match[2] for match in _BLOCK.finditer(text)) == EXAMPLES


def test_the_questions_after_an_incident_have_their_answers(night: Any) -> None:
    output = night.run("history", "payments", *SPAN).output
    for answer in (
        "02:13:15    -       class OK -> WARN, index 79.2",
        "PARTITION_AT_MIN_ISR raised",
        "lowest 24.6 at 2026-01-01 02:25:30 UTC",
        "ann forced it OUT for 20 min: INC-4711 stay out until both brokers are back",
        "ann muted BROKER_DOWN for broker:4: INC-4711 disk of broker 4 is exchanged",
        "class WARN -> OK, index 100",
        "nobody looked for 4m30s in all; longest from 2026-01-01 02:34:00 UTC",
    ):
        assert answer in output, answer


def test_json_has_rows_and_changes(night: Any) -> None:
    found = json.loads(night.run("history", "payments", *SPAN, "-o", "json").output)
    assert len(found["rows"]) == 8
    assert found["changes"]["lowest"]["healthIndex"] == 24.6


def test_a_quiet_time_says_that_nothing_changed(night: Any) -> None:
    output = night.run("history", "clickstream", *SPAN).output
    assert "Nothing changed." in output
    assert "looked at all the time" in output


def test_a_time_in_which_nobody_looked_says_so(night: Any) -> None:
    result = night.run("history", "payments", "--from", "2024-01-01T00:00:00Z",
                       "--to", "2024-01-02T00:00:00Z")  # fmt: skip
    assert result.exit_code == Exit.OK
    assert "nobody looked at it in all that time" in result.output


def test_a_long_story_is_cut_and_says_where_the_rest_is(night: Any) -> None:
    ill = replace(WELL, health_class="WARN")
    rows = [a_row(at, at + 1, 80.0, (WELL, ill)[at % 2]) for at in range(300, 400)]
    night.daemon.store.timeline.write(rows, [])
    output = night.run("history", "payments", "--from", "2026-01-01T07:00:00Z",
                       "--to", "2026-01-01T08:40:00Z").output  # fmt: skip
    assert "and 59 more changes; -o json has 99" in output
    assert "and 80 more rows before these; -o json has all" in output


def test_the_fleet_at_a_moment_is_the_worst_first(night: Any) -> None:
    lines = night.run("status", "--at", "2026-01-01T02:30:00Z").output.splitlines()
    assert lines[0] == "As it was at 2026-01-01 02:30:00 UTC"
    assert [line.split()[0] for line in lines[2:4]] == ["payments", "clickstream"]
    assert "PARTITION_OFFLINE" in lines[2]


def test_what_nobody_saw_is_marked(night: Any) -> None:
    output = night.run("status", "--at", "2026-01-01T02:36:00Z").output
    assert "CRIT ?" in output
    assert "payments: nobody looked then; shown is what was known at 2026-01-01 02:34:00" in output
    early = night.run("status", "payments", "--at", "2020-01-01T00:00:00Z").output
    assert "nothing is recorded of it by then" in early


def test_one_cluster_at_a_moment_has_its_checks_and_how_to_see_more(night: Any) -> None:
    output = night.run("status", "payments", "--at", "2026-01-01T02:30:00Z").output
    assert "CRIT  PARTITION_OFFLINE, 3 concerned" in output
    assert "healthd history payments --from 2026-01-01T02:21:45Z" in output
    found = json.loads(
        night.run("status", "payments", "--at", "2026-01-01T02:30:00Z", "-o", "json").output
    )
    assert found["clusters"][0]["row"]["class"] == "CRIT"


def test_a_cluster_that_was_never_seen_has_no_index(night: Any) -> None:
    dark = replace(
        ROWS[0], cluster="clickstream", at=NIGHT + 20_000, until=NIGHT + 20_060, index=None,
        lowest=None, lower=None, upper=None, story=replace(WELL, health_class="UNKNOWN"),
    )  # fmt: skip
    night.daemon.store.timeline.write([dark], [])
    for words in (("status", "--at", "2026-01-01T07:34:00Z"),
                  ("status", "clickstream", "--at", "2026-01-01T07:34:00Z"),
                  ("history", "clickstream", "--from", "2026-01-01T07:33:30Z",
                   "--to", "2026-01-01T07:34:00Z")):  # fmt: skip
        result = night.run(*words)
        assert result.exit_code == Exit.OK, result.output
        assert "UNKNOWN" in result.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("history", "payments", "--since", "soon"), "must be a time such as"),
        (("history", "payments", "--since", "2026-01-01T02:00:00"), "needs its zone"),
        (("history", "payments", "--since", "2h", "--from", "3h"), "one of --since and --from"),
        (("history", "payments", "--from", "1h", "--to", "2h"), "must be before to"),
        (("history", "nobody"), "there is no cluster nobody"),
        (("status", "nobody", "--at", "2h"), "there is no cluster nobody"),
        (("status", "--at", "then"), "must be a time such as"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_bad_question_is_exit_2_and_says_what_is_wrong(
    night: Any, words: tuple[str, ...], said: str
) -> None:
    result = night.run(*words)
    assert result.exit_code == Exit.USAGE
    assert said in result.stderr
