"""The shipped scoring profile of the demo is what it says."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from healthd.config.scoring_file import load_scoring
from healthd.health.scoring import DEFAULT

FILE = Path(__file__).resolve().parents[3] / "config" / "scoring.demo.yaml"


def test_it_divides_every_time_of_the_routing_verdict_by_20_and_changes_nothing_else() -> None:
    demo, default = asdict(load_scoring(FILE)), asdict(DEFAULT)
    for name, value in default["routing"].items():
        expected = value / 20 if name.endswith("_seconds") else value
        assert demo["routing"].pop(name) == pytest.approx(expected), name
    assert demo.pop("routing") == {}
    for key in ("name", "version", "routing"):
        demo.pop(key, None)
        default.pop(key)
    assert demo == default


def test_it_says_so() -> None:
    text = FILE.read_text("utf-8")
    assert "divided by 20" in text
    assert load_scoring(FILE).name != DEFAULT.name
