"""Outcomes say whether anything may have happened; commands without a limit cannot be built."""

import pytest

from healthd.execute.protocol import Command, ExecKind, Outcome


@pytest.mark.parametrize("kind", list(ExecKind))
def test_only_what_was_sent_may_have_run(kind: ExecKind) -> None:
    was_sent = kind in {ExecKind.EXITED, ExecKind.TIMED_OUT, ExecKind.CONNECTION_LOST}
    assert Outcome(kind=kind).may_have_run is was_sent


@pytest.mark.parametrize(
    ("kind", "code", "is_success"),
    [
        (ExecKind.EXITED, 0, True),
        (ExecKind.EXITED, 1, False),
        (ExecKind.EXITED, None, False),
        (ExecKind.TIMED_OUT, None, False),
    ],
)
def test_only_exit_code_zero_is_success(
    kind: ExecKind, code: int | None, *, is_success: bool
) -> None:
    assert Outcome(kind=kind, exit_code=code).is_success is is_success


@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_a_command_needs_a_time_limit(seconds: float) -> None:
    with pytest.raises(ValueError, match="time limit"):
        Command(argv=("true",), timeout_seconds=seconds)


def test_a_command_needs_a_program() -> None:
    with pytest.raises(ValueError, match="program"):
        Command(argv=(), timeout_seconds=1.0)
