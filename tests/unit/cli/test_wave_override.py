"""`healthd wave override`: what it sends, and mistakes that need no daemon."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from healthd.cli import wave_override
from healthd.cli.app import cli
from healthd.cli.exits import Exit

WORDS = ["wave", "override", "w1", "FREEZE", "cluster:payments", "--for", "30m", "--reason", "INC"]


class Recorder:
    """A daemon that answers everything with one document."""

    sent: tuple[str, dict[str, Any]] | None = None

    def __init__(self, server: str, token_file: Path | None) -> None:
        del server, token_file

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        type(self).sent = path, body
        return {"wave": "w1"}


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> type[Recorder]:
    monkeypatch.setattr(wave_override, "DaemonClient", Recorder)
    monkeypatch.setattr(Recorder, "sent", None)
    return Recorder


def test_it_sends_what_is_overridden_for_how_long_and_why(recorder: type[Recorder]) -> None:
    result = CliRunner().invoke(cli, [*WORDS, "-o", "json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == {"wave": "w1"}
    assert recorder.sent == (
        "/api/v1/waves/w1/override",
        {"code": "FREEZE", "object": "cluster:payments", "seconds": 1800.0, "reason": "INC"},
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([*WORDS[:3], "FROZEN", *WORDS[4:]], "FROZEN is no code"),
        ([*WORDS[:6], "30", *WORDS[7:]], "such as 30m"),
        ([*WORDS[:-1], " "], "say why"),
        (WORDS[:5] + WORDS[7:], "--for"),
        (WORDS[:7], "--reason"),
        (WORDS[:4], "OBJECT"),
    ],
)
def test_a_mistake_is_a_usage_error_and_nothing_is_sent(
    recorder: type[Recorder], words: list[str], said: str
) -> None:
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == Exit.USAGE
    assert said in result.output
    assert recorder.sent is None
