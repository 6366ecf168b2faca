"""`healthd freeze`: what an operator freezes, sees and removes."""

import json
from typing import Any

from healthd.cli.exits import Exit
from healthd.waves.freezes import FROM_FILE, Freeze

WHY = ("--reason", "audit week")


def test_clusters_are_frozen_listed_and_freed(served: Any) -> None:
    assert "Nothing is frozen." in served.run("freeze", "list").output
    result = served.run("freeze", "add", "audit", "--cluster", "payments", "--for", "2h", *WHY)
    assert result.exit_code == Exit.OK
    (found,) = json.loads(served.run("freeze", "list", "-o", "json").output)["freezes"]
    assert found["state"] == "on"
    assert found["clusters"] == ["payments"]
    assert found["until"] == "2026-01-01T14:00:00Z"
    assert "audit week" in served.run("freeze", "list").output
    removed = served.run("freeze", "remove", "audit", "--reason", "over")
    assert removed.exit_code == Exit.OK
    assert "Nothing is frozen." in served.run("freeze", "list").output
    audit = served.daemon.store.audit_records()
    assert [record.what for record in audit] == ["unfreeze", "freeze"]


def test_clusters_are_chosen_by_labels_or_all_of_them(served: Any) -> None:
    matched = served.run("freeze", "add", "a", "--match", "env=test", *WHY, "-o", "json")
    assert json.loads(matched.output)["freezes"][0]["match"] == {"env": "test"}
    every = served.run("freeze", "add", "b", "--all", *WHY, "-o", "json")
    assert json.loads(every.output)["freezes"][0]["all"] is True
    table = served.run("freeze", "list").output
    assert "env=test" in table
    assert "all" in table


def test_a_freeze_of_the_fleet_file_is_listed_and_not_removed(served: Any) -> None:
    served.daemon.fleet_freezes = (
        Freeze(name="year-end", reason="r", by=FROM_FILE, is_for_all=True, is_from_file=True),
    )
    assert "fleet file" in served.run("freeze", "list").output
    result = served.run("freeze", "remove", "year-end", "--reason", "x")
    assert result.exit_code == Exit.FAILED
    assert "remove it there and reload" in result.output


def test_what_says_too_little_or_contradicts_itself_is_a_usage_error(served: Any) -> None:
    for words, told in (
        (["a", *WHY], "say which clusters"),
        (["a", "--all", "--cluster", "payments", *WHY], "say which clusters"),
        (["a", "--all"], "--reason"),
        (["a", "--all", "--until", "2026-02-01", *WHY], "needs its zone"),
        (["a", "--all", "--until", "tomorrow", *WHY], "must be a time"),
        (["a", "--all", "--until", "2026-02-01T00:00Z", "--for", "1h", *WHY], "not both"),
        (["a", "--match", "env", *WHY], "write LABEL=VALUE"),
        (["a", "--match", "env=a", "--match", "env=b", *WHY], "given twice"),
        (["a", "--cluster", "nope", *WHY], "there is no cluster nope"),
        (["a b", "--all", *WHY], "is no name"),
        (["a", "--all", "--until", "2020-01-01T00:00Z", *WHY], "would end before it begins"),
    ):
        result = served.run("freeze", "add", *words)
        assert result.exit_code == Exit.USAGE, words
        assert told in " ".join(result.output.split()), (words, result.output)
    assert served.run("freeze", "remove", "nope", "--reason", "x").exit_code == Exit.USAGE
