"""What a playbook and the service commands run with sudo, host by host."""

from collections.abc import Mapping
from typing import Final

from healthd.config.fleet import ClusterConfig
from healthd.engine.step_job import filled_step
from healthd.engine.step_values import StepValues
from healthd.execute.sudo import as_root
from healthd.waves.filling import Unfilled
from healthd.waves.host_commands import HostCommand, host_commands_of
from healthd.waves.playbook import Playbook, Step
from healthd.waves.playbook_steps import AnsibleAction, WaitAction
from healthd.waves.sudoers import Place, RootCommand

SERVICE_WORDS: Final = ("stop", "start", "status", "logs", "identity")


def of_service(config: ClusterConfig, node: int) -> tuple[RootCommand, ...]:
    """The service commands of a node that begin with sudo."""
    host, service = config.host(node), config.service
    if host is None or service is None:
        return ()
    found = []
    for word in SERVICE_WORDS:
        argv = service.render(word, broker_id=node, host=host.address)
        root = as_root(argv)
        if root is not None:
            runas, words = root
            found.append(RootCommand(argv=words, runas=runas, why=f"service {word}"))
    return tuple(found)


def of_playbook(
    playbook: Playbook, texts: Mapping[str, str]
) -> tuple[tuple[RootCommand, ...], tuple[str, ...]]:
    """The commands of a playbook that run as root, and why others cannot be listed.

    Args:
        playbook: the playbook.
        texts: the values of its variables that are known; a command that needs another one is
            among those that cannot be listed.
    """
    found: list[RootCommand] = []
    trouble: list[str] = []
    for step in playbook.steps:
        if isinstance(step.action, AnsibleAction) and step.action.become:
            trouble.append(
                f"step '{step.name}': ansible with become needs a shell as root, which no list "
                "of commands allows; give it a user of its own"
            )
            continue
        if not any(each.become for each in _commands(step)):
            continue
        try:
            filled = filled_step(step, StepValues(texts=texts))
        except Unfilled as error:
            trouble.append(f"step '{step.name}': {error}; give --cluster, or --var NAME=VALUE")
            continue
        found += [
            RootCommand(argv=each.argv, why=f"step: {step.name}")
            for each in _commands(filled)
            if each.become
        ]
    return tuple(found), tuple(trouble)


def place_of(
    config: ClusterConfig, node: int, playbook: Playbook, texts: Mapping[str, str]
) -> tuple[Place, tuple[str, ...]]:
    """Everything that one host of a cluster needs, and why other things cannot be listed."""
    host = config.host(node)
    commands, trouble = of_playbook(playbook, texts)
    address = "" if host is None else host.address
    return (
        Place(name=f"{address} (broker {node})", commands=(*of_service(config, node), *commands)),
        trouble,
    )


def _commands(step: Step) -> tuple[HostCommand, ...]:
    checks = (*step.only_if, *step.observe, *step.verify)
    waits = step.action.until if isinstance(step.action, WaitAction) else ()
    return host_commands_of(step.action, (*checks, *waits))
