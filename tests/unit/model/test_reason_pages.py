"""Every reason has a page that says what it means and what to do."""

from pathlib import Path

import pytest

from healthd.model.codes import ReasonCode

PAGES = Path(__file__).parents[3] / "docs" / "codes" / "reasons"


@pytest.mark.parametrize("code", ReasonCode)
def test_a_reason_has_a_page_with_its_three_parts(code: ReasonCode) -> None:
    lines = (PAGES / f"{code}.md").read_text(encoding="utf-8").splitlines()
    assert lines[0] == f"# {code}"
    headings = [line for line in lines if line.startswith("## ")]
    assert headings == ["## What it means", "## How you see it", "## What to do"]
    for heading in headings:
        assert lines[lines.index(heading) + 2], f"{heading} is empty"


def test_no_page_is_about_a_reason_that_is_gone() -> None:
    assert {page.stem for page in PAGES.glob("*.md")} == set(ReasonCode)
