"""Hosts on which steps of playbooks are performed."""

from __future__ import annotations

from pathlib import Path

import pytest
from plugins.sshd import shared_sshd
from support.steps import Stage

__all__ = ["shared_sshd"]


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("healthd.engine.step_commands.PAUSE_SECONDS", 0.2)
    monkeypatch.setattr("healthd.engine.stepping.POLL_SECONDS", 0.2)


@pytest.fixture
def here(tmp_path: Path) -> Stage:
    """This machine as a broker's host."""
    return Stage(folder=tmp_path)
