"""Why a page of metrics was not read can be looked up."""

import re
from pathlib import Path

import pytest

from healthd.collect.observation import FailureReason

DOCS = (Path(__file__).parents[3] / "docs" / "troubleshooting.md").read_text()
TABLES = DOCS[DOCS.index("## Why something was not read") :]
OF_KAFKA = {
    FailureReason.TOPICS_HIDDEN,
    FailureReason.LISTENER_NOT_FOUND,
    FailureReason.NO_LEADER,
    FailureReason.NOT_CAUGHT_UP,
    FailureReason.QUORUM_UNKNOWN,
    FailureReason.BUSY,
}
"""Never about a page."""


@pytest.mark.parametrize("reason", sorted(set(FailureReason) - OF_KAFKA))
def test_every_reason_is_explained(reason: FailureReason) -> None:
    rows = [row for row in TABLES.splitlines() if re.match(rf"\|[^|]*`{reason.value}`[^|]*\|", row)]
    assert rows, f"{reason.value} is not in docs/troubleshooting.md"
