"""How far a hold is from opening: numbers that are watched over time, and what they promise.

A number is watched for each code, or for each object of it: messages of replica lag, partitions
that are under-replicated, partitions that a restarted broker still lacks. What it promises is
cautious: it follows several readings and not the last one, it is told in round figures, and a
number that has not fallen for a while promises nothing.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from healthd.model.codes import ReasonCode
from healthd.model.reason import Reason
from healthd.model.snapshot import ClusterSnapshot
from healthd.safety.replica_lag import replica_lags
from healthd.waves.calendar import calendar_at, moment_text, span_text
from healthd.waves.naming import object_of
from healthd.waves.state import Hold, NodeStatus, Track, WaveState

_COUNTED: Final = frozenset(
    {
        ReasonCode.PARTITION_UNDER_REPLICATED,
        ReasonCode.PARTITION_UNDER_MIN_ISR,
        ReasonCode.PARTITION_OFFLINE,
        ReasonCode.REASSIGNMENT,
    }
)
"""Codes of which the number of objects says how far it is."""
_UNITS: Final[Mapping[ReasonCode, str]] = {
    ReasonCode.REPLICA_LAG: "messages",
    **dict.fromkeys(_COUNTED, "partitions"),
    ReasonCode.BROKER_IN_FLIGHT: "partitions",
}
_SPAN_SECONDS: Final = 120.0
"""The rate is that of two minutes: short enough to follow a turn, long enough to be calm."""
_READINGS: Final = 12
_LEAST_READINGS: Final = 3
_LEAST_SECONDS: Final = 20.0
"""Less than that says nothing yet."""
_STANDS_SECONDS: Final = 60.0
"""A number that has reached no new low for so long is not falling."""
_OBJECTS: Final = 20
"""Of one code at most so many objects are watched: the ones that are furthest off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What is missing until a hold opens."""

    text: str
    seconds: float | None = None
    """How long it will take at the present rate, or by the clock; None: nothing promises an end."""
    value: float | None = None
    target: float | None = None
    per_second: float | None = None
    """How fast the number falls; negative when it rises."""


def watched(
    state: WaveState,
    snapshot: ClusterSnapshot,
    holds: Iterable[Reason],
    missing: Mapping[int, int],
    at: float,
) -> WaveState:
    """The state with the numbers of one more snapshot.

    Args:
        state: the wave.
        snapshot: what was seen.
        holds: all that it puts in the way.
        missing: how many partitions each recovering node of the wave is still out of the ISR of.
        at: when, on the wave clock.
    """
    found = dict(_numbers(snapshot, tuple(holds), missing))
    before = {(track.code, track.object): track for track in state.tracks}
    tracks = tuple(
        _followed(before.get(key), *key, value=value, at=at) for key, value in found.items()
    )
    return state if not tracks and not state.tracks else replace(state, tracks=tracks)


def _numbers(
    snapshot: ClusterSnapshot, holds: tuple[Reason, ...], missing: Mapping[int, int]
) -> Iterator[tuple[tuple[ReasonCode, str], float]]:
    counts = Counter(hold.code for hold in holds)
    for code in sorted(_COUNTED & counts.keys()):
        yield (code, ""), float(counts[code])
    lagging = {hold.object for hold in holds if hold.code is ReasonCode.REPLICA_LAG}
    if lagging:
        lags = [lag for lag in replica_lags(snapshot) if f"broker:{lag.broker}" in lagging]
        worst = sorted(lags, key=lambda lag: -lag.messages)[:_OBJECTS]
        for lag in worst:
            yield (ReasonCode.REPLICA_LAG, f"broker:{lag.broker}"), lag.messages
    for node in sorted(missing, key=lambda node: (-missing[node], node))[:_OBJECTS]:
        if missing[node]:
            yield (ReasonCode.BROKER_IN_FLIGHT, f"broker:{node}"), float(missing[node])


def _followed(
    track: Track | None, code: ReasonCode, subject: str, *, value: float, at: float
) -> Track:
    if track is None or (track.readings and at <= track.readings[-1][0]):
        return Track(code=code, object=subject, readings=((at, value),), lowest=value, lowest_at=at)
    kept = [each for each in track.readings if at - each[0] <= _SPAN_SECONDS]
    is_lower = value < track.lowest
    return replace(
        track,
        readings=(*kept, (at, value))[-_READINGS:],
        lowest=min(track.lowest, value),
        lowest_at=at if is_lower else track.lowest_at,
    )


def outlook_of(state: WaveState, hold: Hold) -> Outlook | None:
    """How far one hold of the wave is from opening; None when nothing measures it."""
    reason = hold.reason
    match reason.code:
        case ReasonCode.WINDOW_CLOSED:
            return _window(state)
        case ReasonCode.NOT_CLEAN_LONG_ENOUGH:
            return _clean_run(state)
        case ReasonCode.SOAKING:
            return _soak(state, reason.object)
    for track in state.tracks:
        if track.code is reason.code and track.object in {"", reason.object}:
            return _of_track(state, track)
    return None


def _of_track(state: WaveState, track: Track) -> Outlook:
    target = 0.0
    if track.code is ReasonCode.REPLICA_LAG:
        target = float(state.policy.max_replica_lag_messages)
    (began, first), (at, value) = track.readings[0], track.readings[-1]
    unit = _UNITS[track.code]
    known = Outlook(text=f"{_figure(value)} {unit}", value=value, target=target)
    if len(track.readings) < _LEAST_READINGS or at - began < _LEAST_SECONDS:
        return known
    per_second = round((first - value) / (at - began), 3)
    known = replace(known, per_second=per_second)
    stands = at - track.lowest_at
    if stands >= _STANDS_SECONDS or per_second <= 0:
        how = "rising" if per_second < 0 else "not falling"
        return replace(known, text=f"{known.text}, {how} for {span_text(stands)}")
    seconds = (value - target) / per_second
    return replace(
        known,
        text=f"{_figure(first)} -> {_figure(value)} {unit}, {_figure(per_second)} a second: "
        f"{_about(seconds)}",
        seconds=round(seconds, 1),
    )


def _window(state: WaveState) -> Outlook | None:
    if state.wall is None:
        return None
    policy = state.policy
    found = calendar_at(policy.windows, cutoff_seconds=policy.cutoff_seconds, wall=state.wall)
    if found.opens_at is None:
        return None
    seconds = found.opens_at - state.wall
    moment = moment_text(found.opens_at, found.timezone)
    return Outlook(text=f"opens in {span_text(seconds)}, {moment}", seconds=round(seconds, 1))


def _clean_run(state: WaveState) -> Outlook | None:
    if any(hold.reason.code not in _ORDINARY for hold in state.holds):
        return None  # It begins when the other holds have gone.
    run, policy = state.clean, state.policy
    lasted = 0.0 if run.since is None else state.clock - run.since
    seconds = max(0.0, policy.clean_seconds - lasted)
    more = max(0, policy.clean_snapshots - run.snapshots)
    text = f"{_left(seconds)} more" if seconds else ""
    if more:
        text += f"{' and ' if text else ''}{more} more snapshot{'s' if more > 1 else ''}"
    return Outlook(text=text, seconds=round(seconds, 1)) if text else None


_ORDINARY: Final = frozenset(
    {ReasonCode.NOT_CLEAN_LONG_ENOUGH, ReasonCode.SOAKING, ReasonCode.BROKER_IN_FLIGHT}
)


def _soak(state: WaveState, subject: str) -> Outlook | None:
    for run in state.having({NodeStatus.SOAKING}):
        if subject == object_of(state, run.node) and run.soak_since is not None:
            seconds = max(0.0, state.policy.soak_seconds - (state.clock - run.soak_since))
            return Outlook(text=f"{_left(seconds)} more", seconds=round(seconds, 1))
    return None


def _left(seconds: float) -> str:
    """A time that the clock alone decides: to the second, for it comes true."""
    whole = max(0, round(seconds))
    if whole < 60:  # noqa: PLR2004 - a minute.
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60} s"


def _about(seconds: float) -> str:
    """A time that one may plan with: whole tens of seconds, minutes, then hours."""
    if seconds < 90:  # noqa: PLR2004 - a minute and a half.
        return f"about {max(10, round(seconds, -1)):.0f} s"
    if seconds < 3 * 3600:
        return f"about {round(seconds / 60):.0f} min"
    return f"about {round(seconds / 3600):.0f} h"


def _figure(value: float) -> str:
    """A number with as many digits as a person reads: 34,567 or 0.7."""
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1g}"  # noqa: PLR2004
