"""What is remembered of unchanged topics is what would have been found by looking again."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from support.metadata_answers import Row, State, as_bytes, as_objects, stories
from support.snapshots import NOON, a_broker, a_partition, a_snapshot, a_topic, snapshots

from healthd.collect.assemble import assemble
from healthd.collect.metadata import Interned, metadata_seen
from healthd.collect.observation import MetadataSeen, Observations, QuorumSeen, Reassigning
from healthd.collect.raw_metadata import MetadataDecoder
from healthd.collect.state import LastValues, Moment
from healthd.collect.target import ClusterTarget
from healthd.health.history import NO_HISTORY
from healthd.health.index import evaluate
from healthd.health.losses import losses
from healthd.health.racks import racks_not_tolerated
from healthd.health.remember import remember
from healthd.model.snapshot import ClusterSnapshot, Topics, Voter

TARGET = ClusterTarget(name="moving", bootstrap_servers=("b1:9092",))
QUORUM = QuorumSeen(
    leader_id=1, voters=(Voter(id=1, last_caught_up_ms=1000),), fetch_timeout_ms=2000
)


@given(snapshots(), st.lists(snapshots(), max_size=3))
def test_judging_the_same_topics_again_is_judging_them_for_the_first_time(
    first: ClusterSnapshot, later: Sequence[ClusterSnapshot]
) -> None:
    topics = Topics(first.topics)
    history = NO_HISTORY
    for one in (first, first, *later, first):
        again = replace(one, topics=topics)
        anew = replace(one, topics=tuple(topics))
        assert evaluate(again, history=history) == evaluate(anew, history=history)
        assert losses(again) == losses(anew)
        for is_seen in (True, False):
            found = racks_not_tolerated(again, is_quorum_seen=is_seen)
            assert found == racks_not_tolerated(anew, is_quorum_seen=is_seen)
        assert again.replica_holders == anew.replica_holders
        assert again.unlisted_holders == anew.unlisted_holders
        before, history = history, remember(anew, history)
        assert history == remember(again, before)


def test_the_same_topics_on_other_racks_are_looked_at_again() -> None:
    rows = [a_partition(0), a_partition(1, leader=4, replicas=(4, 5, 6), isr=(4, 5, 6))]
    topics = Topics([a_topic(partitions=rows)])

    def on(*racks: str) -> ClusterSnapshot:
        brokers = tuple(a_broker(node, rack=rack) for node, rack in enumerate(racks, start=1))
        return a_snapshot(brokers=brokers, topics=topics)

    # As long as both lie alike, one stands for both.
    for racks, expected in (("abcabc", ()), ("aabcab", ("a",)), ("abcaab", ("a",)), ("abcabc", ())):
        assert racks_not_tolerated(on(*racks), is_quorum_seen=False) == expected


def test_the_same_topics_without_a_broker_are_asked_again_what_can_be_lost() -> None:
    topics = Topics([a_topic()])
    whole = a_snapshot(topics=topics)
    broken = replace(
        whole, brokers=(a_broker(1), a_broker(2), a_broker(3, alive=False), a_broker(4))
    )
    for snapshot in (whole, broken, whole):
        assert losses(snapshot) == losses(replace(snapshot, topics=tuple(topics)))
    assert losses(whole) != losses(broken)


class Sweeps:
    """The snapshots of one cluster, one after the other."""

    def __init__(self) -> None:
        self.last = LastValues()

    def next(
        self, seen: MetadataSeen | None, configs: dict[str, int] | None, *, added: bool, at: int
    ) -> ClusterSnapshot:
        name = seen.topics[0].name if seen is not None and seen.topics else "a"
        done = assemble(
            TARGET,
            self.last,
            Observations(
                metadata=seen,
                quorum=QUORUM,
                min_insync_replicas=configs,
                reassigning={(name, 0): Reassigning(adding=frozenset({3}))} if added else {},
            ),
            began=15.0 * at,
            now=Moment(monotonic=15.0 * at, wall=NOON + timedelta(seconds=15 * at)),
        )
        self.last = done.last
        return done.snapshot


@given(stories(), st.data())
def test_a_moving_cluster_is_assembled_as_if_nothing_were_remembered(
    story: list[State], data: st.DataObject
) -> None:
    remembering, forgetting = Sweeps(), Sweeps()
    decoder = MetadataDecoder()
    # Every state is seen for some rounds: that is when something is remembered.
    rounds = [state for state in story for _ in range(data.draw(st.integers(1, 4)))]
    for at, state in enumerate(rounds):
        configs = {name: data.draw(st.integers(1, 2)) for name in state.topics} if at % 3 else None
        is_lost, added = data.draw(st.sampled_from([(False, False), (False, True), (True, False)]))
        one = None if is_lost else decoder.decode(as_bytes(state, 13), remembering.last.topics, 1)
        # These are new objects each time, so that nothing is known by what it is.
        other = None if is_lost else metadata_seen(as_objects(state, 1), {}, Interned())
        found = remembering.next(one, configs, added=added, at=at)
        expected = forgetting.next(other, configs, added=added, at=at)
        assert found == expected
        assert [one.holders for one in found.topics] == [one.holders for one in expected.topics]
        assert evaluate(found) == evaluate(replace(expected, topics=tuple(expected.topics)))


def test_topics_that_stay_the_same_are_the_very_same_object() -> None:
    state = State(topics={"a": (Row(id=0, leader=1, replicas=(1, 2), isr=(1, 2)),)})
    sweeps, decoder = Sweeps(), MetadataDecoder()
    seen = []
    for at in range(5):
        answer = decoder.decode(as_bytes(state, 13), sweeps.last.topics, 1)
        seen.append(sweeps.next(answer, {"a": 2} if at == 0 else None, added=False, at=at).topics)
    assert seen[2] is seen[3] is seen[4]
