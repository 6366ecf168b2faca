"""A status is read exactly or not at all."""

import pytest

from healthd.execute.service import STOPPED, ServiceStatus, parse_status


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        pytest.param(
            "running 123 1732191600\n",
            ServiceStatus(is_running=True, pid=123, start="1732191600"),
            id="running",
        ),
        pytest.param(
            "\n  running 7 Fri Nov 21 13:32:00 2025 \r\n\n",
            ServiceStatus(is_running=True, pid=7, start="Fri Nov 21 13:32:00 2025"),
            id="start-with-blanks",
        ),
        pytest.param("stopped\n", STOPPED, id="stopped"),
        pytest.param(
            "ActiveState=active\nMainPID=42\nExecMainStartTimestampMonotonic=9001\n",
            ServiceStatus(is_running=True, pid=42, start="9001"),
            id="systemd-active",
        ),
        pytest.param(
            "MainPID=42\nExecMainStartTimestampMonotonic=9001\nActiveState=deactivating\n",
            ServiceStatus(is_running=True, pid=42, start="9001"),
            id="systemd-still-stopping",
        ),
        pytest.param(
            "ActiveState=inactive\nMainPID=0\nExecMainStartTimestampMonotonic=9001\n",
            STOPPED,
            id="systemd-inactive",
        ),
        pytest.param(
            "ActiveState=failed\nMainPID=0\nExecMainStartTimestampMonotonic=0\n",
            STOPPED,
            id="systemd-failed",
        ),
    ],
)
def test_a_clear_status_is_understood(printed: str, expected: ServiceStatus) -> None:
    assert parse_status(printed) == expected


@pytest.mark.parametrize(
    "printed",
    [
        "",
        "\n",
        "running",
        "running 12",
        "running 12 ",
        "running 0 1",
        "running -1 1",
        "running x 1",
        "running \u0664 1",
        "Running 12 1",
        "not running",
        "stopped?",
        "stopped\nrunning 12 1",
        "running 12 1\nrunning 13 1",
        "run: kafka: (pid 12) 30s",
        "ActiveState=active\nMainPID=42\n",
        "ActiveState=active\nMainPID=42\nExecMainStartTimestampMonotonic=0\n",
        "ActiveState=active\nMainPID=0\nExecMainStartTimestampMonotonic=5\n",
        "ActiveState=activating\nMainPID=0\nExecMainStartTimestampMonotonic=5\n",
        "ActiveState=inactive\nMainPID=42\nExecMainStartTimestampMonotonic=5\n",
        "ActiveState=inactive\nMainPID=\u0660\nExecMainStartTimestampMonotonic=5\n",
        "ActiveState=maintenance\nMainPID=42\nExecMainStartTimestampMonotonic=5\n",
        "ActiveState=active\nActiveState=failed\nMainPID=0\n",
        "ActiveState=inactive\nMainPID=0\nsomething else\n",
        "MainPID=0\nExecMainStartTimestampMonotonic=0\n",
    ],
)
def test_anything_else_is_unknown(printed: str) -> None:
    assert parse_status(printed) is None
