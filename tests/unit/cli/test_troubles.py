"""Ten prepared troubles as an operator sees them; the outputs are the examples in docs/troubles/.

`HEALTHD_WRITE_DOCS=1` writes them anew.
"""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.daemon import cluster_view
from support.troubles import TROUBLES, Trouble

DOCS = Path(__file__).parents[3] / "docs" / "troubles"
FIELDS = ("where:", "since:", "impact:", "do:")


@pytest.fixture(params=TROUBLES, ids=lambda trouble: trouble.name)
def trouble(request: pytest.FixtureRequest) -> Trouble:
    found: Trouble = request.param
    return found


def outputs(served: Any, trouble: Trouble) -> tuple[str, str]:
    well = cluster_view("clickstream")
    served.daemon.views = {"clickstream": replace(well, tenants={}), "payments": trouble.view()}
    return served.run("status").output, served.run("status", "payments").output


def page(trouble: Trouble, fleet: str, cluster: str) -> str:
    return (
        f"# {trouble.title}\n\n{trouble.done}\n\n"
        f"```console\n$ healthd status\n{fleet.rstrip()}\n```\n\n"
        f"```console\n$ healthd status payments\n{cluster.rstrip()}\n```\n"
    )


def test_the_page_is_what_the_commands_print(served: Any, trouble: Trouble) -> None:
    made = page(trouble, *outputs(served, trouble))
    path = DOCS / f"{trouble.name}.md"
    if os.environ.get("HEALTHD_WRITE_DOCS"):
        DOCS.mkdir(exist_ok=True)
        path.write_text(made)
    assert path.read_text() == made


def test_it_says_what_is_wrong_how_bad_since_when_and_what_to_do(
    served: Any, trouble: Trouble
) -> None:
    fleet, cluster = outputs(served, trouble)
    for text in trouble.told:
        assert text in cluster
    view = served.daemon.views["payments"]
    assert view.report.health_class.value in fleet
    if view.report.checks:
        worst = view.report.checks[0]
        for text in (worst.code.value, worst.impact, worst.action, "since 0"):
            assert text in fleet
    else:
        assert "payments: not everything could be read" in fleet
    for check in view.report.checks:
        _, _, told = cluster.partition(f"{check.code.value}: ")
        lines = [line.split()[0] for line in told.splitlines()[1:5]]
        assert lines == list(FIELDS), check.code


def test_the_pages_are_listed_and_no_other_is_there() -> None:
    listed = (DOCS / "README.md").read_text()
    names = {trouble.name for trouble in TROUBLES}
    assert {path.stem for path in DOCS.glob("*.md")} == names | {"README"}
    assert [name for name in names if f"({name}.md)" not in listed] == []
