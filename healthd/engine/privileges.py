"""What a playbook and the service commands run with sudo, host by host."""

from collections.abc import Mapping
from typing import Final

from healthd.config.fleet import ClusterConfig
from healthd.config.wave_variables import resolved
from healthd.engine.step_job import filled_step
from healthd.engine.step_values import StepValues
from healthd.execute.sudo import as_root
from healthd.waves.filling import Unfilled
from healthd.waves.host_commands import SUDO, HostCommand, host_commands_of
from healthd.waves.playbook import Playbook, Step
from healthd.waves.playbook_steps import AnsibleAction, WaitAction
from healthd.waves.sudoers import Place, RootCommand
from healthd.waves.variable_values import Resolved, Values, resolve_variables

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


def texts_for(
    config: ClusterConfig, node: int, playbook: Playbook, given: Values
) -> tuple[dict[str, str], tuple[str, ...]]:
    """The values of a playbook's variables on a host, and what is missing or wrong of them.

    What is known is there all the same; `${wave}` differs by wave and is never known.
    """
    found = resolved(playbook, config, node, given)
    trouble: tuple[str, ...] = ()
    if isinstance(found, Resolved):
        texts = dict(found.texts)
    else:
        trouble = tuple(f"variable {each.variable}: {each.message}" for each in found)
        plain = [each for each in playbook.variables if each.default is not None]
        defaults = resolve_variables(plain, ())
        texts = dict(defaults.texts) if isinstance(defaults, Resolved) else {}
    host = config.host(node)
    texts |= {
        "broker_id": str(node),
        "host": "" if host is None else host.address,
        "cluster": config.name,
        "rack": (None if host is None else host.rack) or "",
    }
    return texts, trouble


def privileged(
    config: ClusterConfig, playbook: Playbook
) -> tuple[tuple[int, tuple[str, ...]], ...]:
    """Every command that a playbook runs with `become`, by node, as it is sent to the host.

    Commands that name a variable which only the wave gives are left out.
    """
    found = []
    for host in config.hosts:
        texts, _ = texts_for(config, host.broker, playbook, {})
        commands, _ = of_playbook(playbook, texts)
        found += [(host.broker, (*SUDO, *each.argv)) for each in commands]
    return tuple(found)


def _commands(step: Step) -> tuple[HostCommand, ...]:
    checks = (*step.only_if, *step.observe, *step.verify)
    waits = step.action.until if isinstance(step.action, WaitAction) else ()
    return host_commands_of(step.action, (*checks, *waits))
