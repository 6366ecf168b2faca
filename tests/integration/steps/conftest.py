"""Hosts on which steps of playbooks are performed."""

from __future__ import annotations

from pathlib import Path

import pytest
from plugins.sshd import shared_sshd
from support.steps import Stage

__all__ = ["shared_sshd"]


@pytest.fixture
def here(tmp_path: Path) -> Stage:
    """This machine as a broker's host."""
    return Stage(folder=tmp_path)
