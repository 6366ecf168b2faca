"""Which racks the cluster cannot lose (RACK_LOSS_NOT_TOLERATED).

The question is ok-to-stop's, asked of every rack. Its answer for a partition depends only on
min.insync.replicas and on the racks of its replicas and ISR, so of 100,000 partitions the few that
differ in those are handed over, as examples of all others.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from typing import Final

from healthd.health.partitions import is_untroubled
from healthd.model.codes import ReasonCode
from healthd.model.order import natural_key
from healthd.model.snapshot import ClusterSnapshot, Partition, Topic, remembered
from healthd.safety.ok_to_stop import rack_blockers
from healthd.safety.replication import serving_brokers

_RACKS_AT_LEAST: Final = 2
_BREAKS_PARTITIONS: Final = frozenset({ReasonCode.WOULD_GO_UNDER_MIN_ISR, ReasonCode.RF_LE_MIN_ISR})

_Ids = tuple[int, ...]
_Others = dict[tuple[object, ...], tuple[int, Partition]]


class _Places(dict[int, str | int | None]):
    """Where each broker stands: its rack when it serves, else a place of its own."""

    def __missing__(self, node: int) -> int:
        return node


def racks_not_tolerated(snapshot: ClusterSnapshot, *, is_quorum_seen: bool) -> tuple[str, ...]:
    """The racks whose loss would stop acks=all writes or the quorum, in natural order."""
    names = {broker.rack for broker in snapshot.brokers if broker.rack is not None}
    if len(names) < _RACKS_AT_LEAST:
        return ()
    telling = _BREAKS_PARTITIONS
    if is_quorum_seen:
        telling |= {ReasonCode.WOULD_LOSE_QUORUM}
    found = rack_blockers(replace(snapshot, topics=_examples(snapshot)), include_excluded=False)
    return tuple(
        sorted(
            (rack for rack, blockers in found.items() if any(b.code in telling for b in blockers)),
            key=natural_key,
        )
    )


def rack_codes(snapshot: ClusterSnapshot) -> Mapping[str, tuple[ReasonCode, ...]]:
    """What the loss of each rack as a whole would break, by code, in natural order of the racks.

    Topics whose min.insync.replicas is unknown are left out.
    """
    found = rack_blockers(replace(snapshot, topics=_examples(snapshot)), include_excluded=False)
    return {
        rack: tuple(sorted({blocker.code for blocker in blockers}))
        for rack, blockers in found.items()
    }


def _examples(snapshot: ClusterSnapshot) -> tuple[Topic, ...]:
    """Topics with one partition for each way in which partitions are spread over the racks."""
    serving = serving_brokers(snapshot)
    places = _Places(
        (broker.id, broker.rack) for broker in snapshot.brokers if broker.id in serving
    )
    return remembered(
        snapshot.topics,
        "examples of how partitions lie over the racks",
        frozenset(places.items()),
        lambda: _examples_of(snapshot.topics, places),
    )


def _examples_of(topics: Iterable[Topic], places: _Places) -> tuple[Topic, ...]:
    in_sync: dict[int, dict[object, _Ids]] = {}
    others: _Others = {}
    for topic in topics:
        minimum = topic.min_insync_replicas
        # Without min.insync.replicas ok-to-stop says that it is unknown, and nothing more.
        if topic.excluded is not None or minimum is None:
            continue
        if is_untroubled(topic) and not topic.adding:
            _add_spread(in_sync.setdefault(minimum, {}), topic, places)
        else:
            _add_troubled(others, topic, minimum, places)
    rows = [
        *((minimum, _led(replicas)) for minimum, spread in in_sync.items()
          for replicas in spread.values()),
        *others.values(),
    ]  # fmt: skip
    return tuple(_topics(rows))


def _add_spread(spread: dict[object, _Ids], topic: Topic, places: _Places) -> None:
    """Keep one of the replica lists for each row of places, without Python per partition."""
    factors = set(map(len, topic.replicas))
    if len(factors) == 1:
        (factor,) = factors
        flat = map(places.__getitem__, chain.from_iterable(topic.replicas))
        spread.update(zip(zip(*[flat] * factor, strict=True), topic.replicas, strict=False))
    else:
        spread.update({tuple(map(places.__getitem__, ids)): ids for ids in topic.replicas})


def _add_troubled(found: _Others, topic: Topic, minimum: int, places: _Places) -> None:
    """Keep one partition for each way in which replicas and ISR lie."""
    for at, (leader, replicas, isr) in enumerate(
        zip(topic.leaders, topic.replicas, topic.isrs, strict=True)
    ):
        # Of a partition without leader ok-to-stop says just that.
        if leader < 0:
            continue
        adding = topic.adding.get(at)
        key = (
            minimum,
            tuple(map(places.__getitem__, replicas)),
            tuple(map(places.__getitem__, isr)),
            # A place stands for many brokers: those being added are told apart by themselves.
            adding and (adding, replicas, isr),
        )
        if key not in found:
            found[key] = (minimum, topic.partition(at))


def _led(replicas: _Ids) -> Partition:
    return Partition(id=0, leader=0, replicas=replicas, isr=replicas)


def _topics(rows: Iterable[tuple[int, Partition]]) -> Iterator[Topic]:
    by_minimum: dict[int, list[Partition]] = {}
    for minimum, row in rows:
        partitions = by_minimum.setdefault(minimum, [])
        partitions.append(replace(row, id=len(partitions)))
    for minimum, partitions in by_minimum.items():
        yield Topic.of(f"examples-{minimum}", partitions, min_insync_replicas=minimum)
