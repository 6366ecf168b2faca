"""The reference of exporter pages names everything that is read."""

from pathlib import Path

import pytest

from healthd.collect.dialects import (
    ATTRIBUTES,
    JVM_STARTS,
    PROCESS_START,
    SCRAPE_ERROR,
    VERSIONS,
    Dialect,
)

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "exporters.md").read_text("utf-8")


@pytest.mark.parametrize("dialect", Dialect)
def test_every_dialect_is_described(dialect: Dialect) -> None:
    assert f"| `{dialect}` |" in PAGE


@pytest.mark.parametrize("name", sorted({of.name for of in ATTRIBUTES}))
def test_every_mbean_that_is_read_is_named(name: str) -> None:
    assert name in PAGE


def test_every_other_family_is_named() -> None:
    for family in (*JVM_STARTS[1:], *VERSIONS, PROCESS_START, SCRAPE_ERROR):
        assert family in PAGE
