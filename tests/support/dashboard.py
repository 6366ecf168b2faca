"""The queries of the shipped Grafana dashboard, as Grafana would send them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).resolve().parents[2] / "config/grafana/healthd.json"


@dataclass(frozen=True, slots=True)
class PanelQuery:
    """One query of one panel."""

    panel: str
    expression: str
    """With Grafana's variables in it."""

    def on(self, cluster: str) -> str:
        """The query for that cluster, in any environment."""
        text = self.expression
        for variable, value in (
            ("$cluster", cluster),
            ("$env", ".*"),
            ("$__rate_interval", "1m"),
        ):
            text = text.replace(variable, value)
        assert "$" not in text, f"{self.panel} has a variable that nobody fills in: {text}"
        return text


def panel_queries() -> Iterator[PanelQuery]:
    """Every query of every panel."""
    for panel in json.loads(FILE.read_text("utf-8"))["panels"]:
        for target in panel.get("targets", ()):
            yield PanelQuery(panel["title"], target["expr"])
