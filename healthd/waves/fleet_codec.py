"""The JSON form of the state of a wave over a fleet, and back again."""

from collections.abc import Mapping
from typing import Any, Final

from healthd.waves.codec import StateUnreadable, decode_value, encode_value
from healthd.waves.fleet_state import FORMAT, FleetState

MARK: Final = "members"
"""The field by which a stored state is told from that of a wave on one cluster."""


def encode_fleet(state: FleetState) -> dict[str, Any]:
    """The state as a JSON value."""
    return {key: encode_value(getattr(state, key)) for key in FleetState.__dataclass_fields__}


def is_fleet(data: object) -> bool:
    """Whether a stored state is that of a wave over a fleet."""
    return isinstance(data, Mapping) and MARK in data


def decode_fleet(data: Mapping[str, Any]) -> FleetState:
    """The state from its JSON value.

    Raises:
        StateUnreadable: it was written by a newer version, or is damaged.
    """
    written = data.get("format")
    if isinstance(written, int) and written > FORMAT:
        raise StateUnreadable(
            f"state.format: {written} is newer than this healthd, which reads up to {FORMAT}"
        )
    state = decode_value(FleetState, data, "state")
    for at, member in enumerate(state.members):
        if not 0 <= member.stage < len(state.stages):
            raise StateUnreadable(f"state.members[{at}].stage: there is no such stage")
        if not 0 <= member.policy < len(state.policies):
            raise StateUnreadable(f"state.members[{at}].policy: there is no such policy")
    return state
