"""`healthd route`: what an operator sees and orders."""

import json
from typing import Any

import pytest
from support.daemon import a_router, config_of

from healthd.cli.exits import Exit
from healthd.config.profiles import ProfileConfig


@pytest.fixture
def routed(served: Any) -> Any:
    clusters = (config_of("payments"), config_of("west"))
    profile = ProfileConfig(name="NAD1700", members=("payments", "west"))
    served.daemon.router = a_router(clusters, (profile,))
    served.daemon.views["west"] = served.daemon.views["payments"]
    return served


def force(routed: Any, *more: str) -> Any:
    return routed.run("route", "--force", "payments=out", "--for", "1h", "--reason", "drill", *more)


def test_a_profile_shows_its_clusters_in_order_with_how_to_connect(routed: Any) -> None:
    result = routed.run("route", "NAD1700")
    assert result.exit_code == Exit.OK
    lines = result.output.splitlines()
    assert lines[0] == "NAD1700  (preference)"
    assert [line.split()[0] for line in lines[2:4]] == ["payments", "west"]
    assert "b1:9092" in lines[2]


def test_all_profiles_and_verdicts_are_shown_with_why(routed: Any) -> None:
    force(routed)
    output = routed.run("route").output
    assert "forced OUT by ann for 1h00m more: drill" in output
    assert "nothing is known now; it stays IN" in output
    assert "NAD1700" in output


def test_forcing_needs_a_reason_and_an_end(routed: Any) -> None:
    for words, told in (
        (["--force", "payments=out", "--reason", "x"], "--for is missing"),
        (["--force", "payments=out", "--for", "1h"], "--reason is missing"),
        (["--force", "payments"], "write CLUSTER=IN or CLUSTER=OUT"),
        (["--force", "payments=maybe"], "write CLUSTER=IN or CLUSTER=OUT"),
        (["--force", "payments=in", "--for", "soon"], "such as 30m"),
        (["--force", "payments=in", "--for", "0s"], "such as 30m"),
        (["--for", "1h"], "go with --force or --unforce"),
        (["NAD1700", "--unforce", "payments"], "give one of"),
        (["--unforce", "payments", "--for", "1h", "--reason", "x"], "--for goes with --force"),
    ):
        result = routed.run("route", *words)
        assert result.exit_code == Exit.USAGE, words
        assert told in result.output, words


def test_what_was_forced_counts_and_is_taken_back(routed: Any) -> None:
    result = force(routed)
    assert result.exit_code == Exit.OK
    assert "payments is OUT: forced OUT by ann" in result.output
    found = json.loads(routed.run("route", "NAD1700", "-o", "json").output)
    assert [member["cluster"] for member in found["members"]] == ["west"]
    back = routed.run("route", "--unforce", "payments", "--reason", "over")
    assert back.exit_code == Exit.OK
    again = routed.run("route", "--unforce", "payments", "--reason", "over")
    assert again.exit_code == Exit.FAILED
    assert "nobody has forced payments" in again.output


def test_what_is_not_there_is_named_beside_what_is(routed: Any) -> None:
    result = routed.run("route", "NAD9")
    assert result.exit_code == Exit.USAGE
    assert "the fleet file has: NAD1700" in result.output
    result = routed.run("route", "--force", "nope=out", "--for", "1h", "--reason", "x")
    assert result.exit_code == Exit.USAGE
    assert "payments, west" in result.output


def test_a_profile_whose_clusters_are_all_forced_out_says_so(routed: Any) -> None:
    for cluster in ("payments", "west"):
        routed.run("route", "--force", f"{cluster}=OUT", "--for", "10m", "--reason", "x")
    output = routed.run("route", "NAD1700").output
    assert "no cluster is in; clients keep what they have" in output
