"""Events of the ledger in plain words. Another version may have written them: nothing raises."""

from collections.abc import Mapping
from typing import Any

from healthd.health.durations import duration


def words(kind: str, body: Mapping[str, Any]) -> str:
    """What an event tells a person.

    Args:
        kind: ``verdict``, ``force``, ``mute``, ``unmute``, ``freeze`` or ``unfreeze``.
        body: As the ledger keeps it.
    """
    if kind == "verdict":
        return _verdict(body)
    if kind == "force":
        return _force(body)
    if kind in {"freeze", "unfreeze"}:
        return _freeze(kind, body)
    return _mute(kind, body)


def verdict_after(kind: str, body: Mapping[str, Any]) -> str | None:
    """The verdict that an event leads to; None when it does not say."""
    found = {"verdict": body.get("to"), "force": body.get("forced")}.get(kind)
    return found if isinstance(found, str) else None


def shown(before: str, after: str, state: str) -> str:
    """A verdict that is shown anew without having been moved."""
    if after == "HOLD":
        return f"verdict HOLD: nothing is known, it stays {state}"
    if before == "HOLD":
        return f"verdict {after}: it is known again"
    return f"verdict {before or '-'} -> {after or '-'}"


def _verdict(body: Mapping[str, Any]) -> str:
    text = f"verdict {body.get('from', '?')} -> {body.get('to', '?')}"
    index = body.get("index")
    if isinstance(index, int | float):
        text += f" at index {index:g}"
    if body.get("bindingCap"):
        text += f", held down by {body['bindingCap']}"
    if body.get("dryRun"):
        text += " (dry run: nobody was moved)"
    return text


def _force(body: Mapping[str, Any]) -> str:
    who, why = body.get("by", "somebody"), body.get("reason", "")
    forced = body.get("forced")
    if forced is None:
        return f"{who} took back what was forced: {why}"
    seconds = body.get("seconds")
    limit = f" for {duration(seconds)}" if isinstance(seconds, int | float) else ""
    return f"{who} forced it {forced}{limit}: {why}"


def _freeze(kind: str, body: Mapping[str, Any]) -> str:
    who, why, name = (body.get(key, "?") for key in ("by", "reason", "name"))
    if kind == "unfreeze":
        return f"{who} removed the freeze {name}: {why}"
    when = "".join(f" {word} {moment}" for word in ("from", "until") if (moment := body.get(word)))
    return f"{who} made the freeze {name}{when}: {why}"


def _mute(kind: str, body: Mapping[str, Any]) -> str:
    who, why, check = (body.get(key, "?") for key in ("by", "reason", "check"))
    named = body.get("objects")
    objects = f" for {', '.join(map(str, named[:5]))}" if isinstance(named, list) and named else ""
    if kind == "unmute":
        return f"{who} ended the mute of {check}{objects}: {why}"
    return f"{who} muted {check}{objects}: {why}"
