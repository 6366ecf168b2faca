"""What the daemon logs, and that no secret is among it."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from healthd.engine.logs import configure_logs, logs_of_a_command, redact_secrets


@pytest.fixture
def restored() -> Iterator[None]:
    """Logging is as it was afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    before = structlog.get_config()
    yield
    structlog.configure(**before)
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize("key", ["password", "sasl.password", "API_KEY", "token", "keyPassphrase"])
def test_the_value_of_a_key_that_names_a_secret_is_struck_out(key: str) -> None:
    event = redact_secrets(None, "info", {"event": "x", key: "hunter2"})
    assert event == {"event": "x", key: "[redacted]"}


def test_a_secret_is_struck_out_however_deep_it_is() -> None:
    event = redact_secrets(None, "info", {"config": {"a": [{"sasl.password": "hunter2", "b": 1}]}})
    assert event == {"config": {"a": [{"sasl.password": "[redacted]", "b": 1}]}}


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_secret_is_written_not_even_with_a_traceback(
    form: str, restored: None, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs(form, "info")
    log = structlog.get_logger("test")

    def connect(password: str) -> None:
        raise ConnectionError(f"{len(password)} characters were refused")

    secret = "2retnuh"[::-1]  # Not in the source line that a traceback shows.
    try:
        connect(secret)
    except ConnectionError:
        log.exception("connection_failed", properties={"sasl.password": secret})
        logging.getLogger("library").exception("it broke")
    log.debug("below_the_level")
    text = capsys.readouterr().err
    assert secret not in text
    assert "connection_failed" in text
    assert "it broke" in text
    assert "7 characters were refused" in text
    assert "below_the_level" not in text


def test_json_lines_are_one_object_an_event(
    restored: None, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs("json", "warning")
    structlog.get_logger("test").warning("wave_held", wave="w", detail="line one\nline two")
    logging.getLogger("library").warning("of a library")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["event"] for line in lines] == ["wave_held", "of a library"]
    assert lines[0]["level"] == "warning"
    assert lines[0]["timestamp"].endswith("Z")


@pytest.mark.usefixtures("restored")
def test_a_command_says_warnings_on_stderr_and_leaves_stdout_to_data(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs_of_a_command()
    log = structlog.get_logger()
    log.info("probe_topic_changed")
    log.warning("source_broke", password="hunter2")
    written = capsys.readouterr()
    assert written.out == ""
    assert "source_broke" in written.err
    assert "hunter2" not in written.err
    assert "probe_topic_changed" not in written.err
