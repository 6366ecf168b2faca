"""A dry run notes what would be done and answers as it was told."""

from pathlib import Path

from healthd.execute.dry_run import (
    Answer,
    DryRunElector,
    DryRunExecutor,
    Rehearsed,
    ServiceVerb,
)
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


async def test_a_rehearsed_service_answers_as_if_its_commands_had_been_carried_out() -> None:
    service = Rehearsed(process="as it is")
    executor = DryRunExecutor(
        scripts={("h", 22, ("sv", verb.value, "kafka")): (verb, service) for verb in ServiceVerb}
    )

    async def run(verb: str, effect_id: str = "") -> str:
        command = Command(argv=("sv", verb, "kafka"), timeout_seconds=1.0, effect_id=effect_id)
        return (await executor.run(TARGET, command)).stdout

    assert await run("status") == "running 1 as it is\n"
    assert await run("start", "3.1.start") == ""
    assert await run("status") == "running 1 as it is\n"
    await run("stop", "3.1.stop")
    assert await run("status") == "stopped\n"
    await run("start", "3.1.start")
    assert await run("status") == "running 1 dry run 3.1.start\n"
    assert [noted.command.effect_id for noted in executor.noted] == [
        "3.1.start", "3.1.stop", "3.1.start",
    ]  # fmt: skip


async def test_what_was_not_sent_is_told_with_the_host_and_every_word() -> None:
    command = Command(argv=("sv", "stop", "my kafka"), timeout_seconds=1.0)
    outcome = await DryRunExecutor().run(TARGET, command)
    assert outcome.detail == "dry run: not sent to u@h:22: sv stop 'my kafka'"


async def test_an_election_of_a_dry_run_asks_nobody_and_goes_well() -> None:
    elector = DryRunElector()
    assert await elector.elect_preferred([("orders", 0)], timeout_seconds=1.0) == ()
    elector.close()
