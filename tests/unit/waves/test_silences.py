"""Silences for hosts in work: what they match, how long they last, and how they are found again."""

import re

import pytest

from healthd.waves.policy import WavePolicy
from healthd.waves.silences import (
    SilenceMark,
    host_pattern,
    mark_of,
    silence_document,
    silence_seconds,
)

MARK = SilenceMark(wave="june-20260101-120000-ab12", node=3)


def document(reason: str = "CHG-1") -> dict[str, object]:
    """A silence for one host."""
    return silence_document(
        MARK, label="instance", pattern="b3(:[0-9]+)?", reason=reason, now=0.0, seconds=90
    )


def test_a_silence_has_an_end_an_author_and_matches_one_label() -> None:
    found = document()
    assert found["startsAt"] == "1970-01-01T00:00:00Z"
    assert found["endsAt"] == "1970-01-01T00:01:30Z"
    assert found["createdBy"] == "healthd"
    assert found["matchers"] == [
        {"name": "instance", "value": "b3(:[0-9]+)?", "isRegex": True, "isEqual": True}
    ]


def test_it_is_found_again_by_its_comment() -> None:
    assert mark_of("healthd", str(document()["comment"])) == MARK


def test_a_reason_that_looks_like_a_mark_is_none() -> None:
    found = document("restart [wave other, node 1] again")
    assert mark_of("healthd", str(found["comment"])) == MARK


@pytest.mark.parametrize(
    ("author", "comment"),
    [
        ("ann", f"mine {MARK}"),
        ("healthd", "a comment of a person who calls himself so"),
        ("healthd", f"{MARK} and more"),
    ],
)
def test_what_others_made_is_not_healthds(author: str, comment: str) -> None:
    assert mark_of(author, comment) is None


def test_it_lasts_as_long_as_a_restart_may_take() -> None:
    policy = WavePolicy(recovery_timeout_seconds=1800)
    assert silence_seconds(policy, stop_seconds=600, start_seconds=300) == 2700


@pytest.mark.parametrize(
    ("address", "exporter", "others", "matched", "unmatched"),
    [
        ("b1.example.net", None, [], ["b1.example.net", "b1.example.net:9100"], ["b1xexample.net"]),
        ("b1", None, ["b11"], ["b1", "b1:7071"], ["b11", "xb1", "b1:", "b1:a"]),
        ("10.0.0.1", None, [], ["10.0.0.1:9100"], ["10.0.0.11:9100", "110.0.0.1:9100"]),
        ("b1", "m1:7071", [], ["b1:9100", "m1:7071"], ["m1:7072", "m1"]),
        ("::1", None, [], ["[::1]:9100", "::1"], ["[::1]x", "::11"]),
        ("h", "h:7071", ["h"], ["h:7071"], ["h", "h:7072"]),
    ],
    ids=["dots", "port", "address", "exporter elsewhere", "IPv6", "shared address"],
)
def test_a_pattern_matches_its_host_and_no_other(
    address: str,
    exporter: str | None,
    others: list[str],
    matched: list[str],
    unmatched: list[str],
) -> None:
    pattern = host_pattern(address, exporter, others)
    assert pattern is not None
    assert all(re.fullmatch(pattern, value) for value in matched)
    assert not any(re.fullmatch(pattern, value) for value in unmatched)


def test_nodes_that_nothing_tells_apart_are_not_silenced() -> None:
    assert host_pattern("h", None, ["h"]) is None
