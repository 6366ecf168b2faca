"""Each check has a page that says what it means and what to do."""

from pathlib import Path

import pytest

from healthd.model.codes import CheckCode

PAGES = Path(__file__).parents[3] / "docs" / "codes" / "checks"


@pytest.mark.parametrize("code", list(CheckCode))
def test_every_check_has_a_page(code: CheckCode) -> None:
    text = (PAGES / f"{code}.md").read_text()
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert headings == [f"# {code}", "## What it means", "## Impact", "## What to do"]


def test_no_page_is_about_a_check_that_does_not_exist() -> None:
    assert {page.stem for page in PAGES.glob("*.md")} == {code.value for code in CheckCode}
