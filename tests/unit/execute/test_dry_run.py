"""A dry run notes what would be done and answers as it was told."""

from pathlib import Path

from healthd.execute.dry_run import Answer, DryRunExecutor
from healthd.execute.protocol import Command, Target

TARGET = Target(address="h", user="u", key_file=Path("k"), known_hosts_file=Path("n"))


async def test_commands_are_noted_in_order_and_answered_by_their_first_words() -> None:
    executor = DryRunExecutor(
        [Answer(words=("sv", "status"), stdout="stopped\n"), Answer(words=("sv",), stdout="ok\n")]
    )
    commands = [
        Command(argv=words, timeout_seconds=1.0)
        for words in (("sv", "stop", "kafka"), ("sv", "status", "kafka"), ("reboot",))
    ]
    printed = [(await executor.run(TARGET, command)).stdout for command in commands]
    assert printed == ["ok\n", "stopped\n", ""]
    assert [noted.command for noted in executor.noted] == commands
    assert {noted.target for noted in executor.noted} == {TARGET}
