"""A digest of the topology that a plan rests on: when it differs the plan is stale.

What it covers: the cluster's name, every node with its roles and rack, every topic with its
min.insync.replicas, every partition with its replicas and those being added or removed. What it
leaves out changes by itself or says nothing of safety: who is alive, leaders, ISRs, ages, versions,
and the order of anything.
"""

import sys
from array import array
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from itertools import chain

from healthd.model.snapshot import ClusterSnapshot, Topic

_FORM = b"healthd topology 1"
"""Changes whenever the bytes below change, so that a digest never means two things."""


def fingerprint(snapshot: ClusterSnapshot) -> str:
    """The SHA-256 of the topology, in hexadecimal digits; the same in whatever order it is told."""
    digest = sha256()
    for part in _parts(snapshot):
        # The length first: otherwise "ab" + "c" would be "a" + "bc".
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()


def _parts(snapshot: ClusterSnapshot) -> Iterator[bytes]:
    yield _FORM
    yield snapshot.cluster.encode()
    for broker in sorted(snapshot.brokers, key=lambda broker: broker.id):
        roles = None if broker.roles is None else sorted(role.value for role in broker.roles)
        yield repr((broker.id, broker.rack, roles)).encode()
    for topic in sorted(snapshot.topics, key=lambda topic: topic.name):
        yield repr((topic.name, topic.min_insync_replicas)).encode()
        yield from _assignment(topic)


def _assignment(topic: Topic) -> Iterator[bytes]:
    """The ids, the replica counts and the replicas of the partitions, in order of their ids."""
    ids, replicas = topic.ids, topic.replicas
    if ids != tuple(range(len(ids))):
        order = sorted(range(len(ids)), key=ids.__getitem__)
        ids = tuple(ids[at] for at in order)
        replicas = tuple(replicas[at] for at in order)
    yield _packed(ids)
    yield _packed(map(len, replicas))
    yield _packed(chain.from_iterable(map(sorted, replicas)))
    for changing in (topic.adding, topic.removing):
        yield repr(_by_id(topic, changing)).encode()


def _by_id(topic: Topic, changing: Mapping[int, frozenset[int]]) -> list[tuple[int, list[int]]]:
    return sorted((topic.ids[at], sorted(nodes)) for at, nodes in changing.items() if nodes)


def _packed(numbers: Iterable[int]) -> bytes:
    # Ids are at most 2147483647 (contract.md section 2), so four bytes hold each. An array is made
    # of a list much faster than of an iterator.
    found = array("i", list(numbers))
    if sys.byteorder == "big":
        found.byteswap()
    return found.tobytes()
