"""The values of a playbook's variables for one node; secrets are read when they are used."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from healthd.collect.secret_threads import in_secret_thread
from healthd.config.fleet import ClusterConfig
from healthd.config.problems import ConfigError
from healthd.config.secrets import SecretRef
from healthd.config.wave_variables import resolved
from healthd.engine.step_host import StepEnds
from healthd.engine.variables import reference_of
from healthd.waves.events import Outcome
from healthd.waves.playbook import Playbook
from healthd.waves.playbook_steps import VariableType
from healthd.waves.state import WaveState
from healthd.waves.variable_values import joined


@dataclass(frozen=True, slots=True, kw_only=True)
class StepValues:
    """What the variables of a playbook are for one node."""

    texts: Mapping[str, str]
    """Those that are no secrets."""
    references: Mapping[str, SecretRef] = field(default_factory=dict)
    """Where the secrets are."""
    found: dict[str, str | StepEnds] = field(default_factory=dict, repr=False, compare=False)
    """What has been read of them, or why not. Each is read once for a step: what is struck out of
    its output is then what it was given, also where a program prints another one every time."""

    async def secret(self, name: str | None) -> str:
        """The value of one variable, read now when it is a secret; nothing for no name.

        Raises:
            StepEnds: it cannot be read, or has no value; none is told.
        """
        if name is None:
            return ""
        if name in self.references:
            return await self._read(name)
        if name not in self.texts:
            raise StepEnds(Outcome.FAILED, f"the variable {name} has no value")
        return self.texts[name]

    async def all_secrets(self) -> dict[str, str]:
        """Every secret of the playbook, read now.

        Raises:
            StepEnds: one cannot be read; its value is not told.
        """
        values = await asyncio.gather(*map(self._read, self.references))
        return dict(zip(self.references, values, strict=True))

    async def struck_out(self) -> tuple[str, ...]:
        """What nobody may read in what a step prints: also the secrets that it does not use."""
        found = await asyncio.gather(
            *map(self._read, self.references),
            return_exceptions=True,
        )
        for each in found:
            if isinstance(each, BaseException) and not isinstance(each, StepEnds):
                raise each
        return tuple(each for each in found if isinstance(each, str))

    def typed(self, playbook: Playbook) -> dict[str, object]:
        """The values that are no secrets as a template takes them: numbers and truths as such."""
        kinds = {variable.name: variable.type for variable in playbook.variables}
        return {name: _typed(kinds.get(name), text) for name, text in self.texts.items()}

    async def _read(self, name: str) -> str:
        if name not in self.found:
            reference = self.references[name]
            try:
                value = await in_secret_thread(reference.read, runs_program=bool(reference.command))
            except ConfigError as error:
                ends = StepEnds(Outcome.NOT_SENT, f"the secret {name}: {error}")
                self.found.setdefault(name, ends)
            else:
                self.found.setdefault(name, value)
        known = self.found[name]
        if isinstance(known, StepEnds):
            raise known
        return known


def values_of(state: WaveState, config: ClusterConfig, node: int) -> StepValues:
    """The values for a node: defaults of the playbook, cluster, host, and then the wave.

    Raises:
        StepEnds: a variable has none, or one that it may not have; the broker is named.
    """
    given = joined(state.variables, state.secrets)
    found = resolved(state.playbook, config, node, given)
    if isinstance(found, list):
        first = found[0]
        detail = (
            f"playbook {state.playbook.name}, broker {node}: the variable {first.variable} "
            f"{first.message} -> {first.action}"
        )
        raise StepEnds(Outcome.FAILED, detail)
    host = config.host(node)
    built_in = {
        "broker_id": str(node),
        "host": "" if host is None else host.address,
        "cluster": config.name,
        "rack": (None if host is None else host.rack) or "",
        "wave": state.wave,
    }
    references = {name: reference_of(source) for name, source in found.secrets}
    return StepValues(texts=dict(found.texts) | built_in, references=references)


def _typed(kind: VariableType | None, text: str) -> object:
    match kind:
        case VariableType.INTEGER:
            return int(text)
        case VariableType.NUMBER:
            return float(text)
        case VariableType.BOOLEAN:
            return text == "true"
        case _:
            return text
