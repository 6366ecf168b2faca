"""healthd beside four naive policies: 1,000 schedules of faults, the same for each.

The table is written to docs/naive-policies.md; the same code gives the same table.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from support.comparing import compared, table, with_table

SCHEDULES = 1000
PROCESSES = 2
PAGE = Path(__file__).parents[2] / "docs" / "naive-policies.md"


@pytest.mark.bench
@pytest.mark.timeout(3600)
def test_policies() -> None:
    lines = list(table(compared(range(SCHEDULES), processes=PROCESSES)))
    print("", *lines, sep="\n")
    PAGE.write_text(with_table(PAGE.read_text("utf-8"), lines), encoding="utf-8")
