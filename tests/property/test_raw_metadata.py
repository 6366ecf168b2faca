"""The bytes of a Metadata answer against librdkafka's objects of the same state."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.metadata_answers import VERSIONS, Row, State, as_bytes, as_objects, states, stories

from healthd.collect.compact_encoding import DecodeError
from healthd.collect.metadata import Interned, metadata_seen
from healthd.collect.observation import MetadataSeen
from healthd.collect.raw_metadata import MetadataDecoder
from healthd.collect.raw_request import RawMetadata
from healthd.model.snapshot import Topic


@given(stories(), st.sampled_from(VERSIONS))
def test_a_moving_cluster_is_seen_as_librdkafka_shows_it(story: list[State], version: int) -> None:
    decoder, interned = MetadataDecoder(), Interned()
    previous: dict[str, Topic] = {}
    for at, state in enumerate(story):
        expected = metadata_seen(as_objects(state, 1), previous, interned)
        found = decoder.decode(as_bytes(state, version), previous, 1)
        assert found == expected
        assert found.controller == expected.controller == state.controller
        assert all(
            (one is two) == (three is four)
            for topic, other in zip(found.topics, expected.topics, strict=True)
            for one, two, three, four in zip(
                topic.isrs, topic.replicas, other.isrs, other.replicas, strict=True
            )
        )
        # As the collector does: what configs told is known from then on.
        previous = {
            topic.name: replace(topic, min_insync_replicas=1 + (at + len(topic.name)) % 2)
            for topic in found.topics
        }


@given(states(), st.sampled_from(VERSIONS))
def test_the_same_bytes_give_the_very_same_topics(state: State, version: int) -> None:
    decoder = MetadataDecoder()
    first = decoder.decode(as_bytes(state, version), {}, 1)
    previous = {topic.name: topic for topic in first.topics}
    changed = replace(state, controller=state.controller + 1, throttle_ms=7)
    second = decoder.decode(as_bytes(changed, version), previous, 2)
    assert second.topics is first.topics
    assert second.answered_by == 2
    assert decoder.decode(as_bytes(changed, version), previous, 2) is second


@given(states(), st.sampled_from(VERSIONS), st.data())
def test_bytes_that_are_cut_off_are_refused(
    state: State, version: int, data: st.DataObject
) -> None:
    whole = as_bytes(state, version)
    cut = data.draw(st.integers(0, len(whole.body) - 1))
    with pytest.raises(DecodeError):
        MetadataDecoder().decode(RawMetadata(version, whole.body[:cut]), {}, 1)


@given(states(), st.sampled_from(VERSIONS), st.data())
def test_bytes_that_changed_on_the_way_are_read_or_refused_and_nothing_else(
    state: State, version: int, data: st.DataObject
) -> None:
    body = bytearray(as_bytes(state, version).body)
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        seen = MetadataDecoder().decode(RawMetadata(version, bytes(body)), {}, 1)
    except DecodeError:
        return
    assert isinstance(seen, MetadataSeen)


def test_bytes_behind_the_end_are_refused() -> None:
    whole = as_bytes(State(topics={}), 13)
    with pytest.raises(DecodeError, match="end at"):
        MetadataDecoder().decode(RawMetadata(13, whole.body + b"\0"), {}, 1)


def test_only_topics_whose_bytes_changed_are_decoded() -> None:
    alike = tuple(Row(id=at, leader=1, replicas=(1, 2), isr=(1, 2)) for at in range(3))
    state = State(topics={f"t{at}": alike for at in range(10)})
    decoder = MetadataDecoder()
    first = decoder.decode(as_bytes(state, 13), {}, 1)
    previous = {topic.name: topic for topic in first.topics}
    fewer = replace(alike[0], isr=(1,))
    moved = replace(state, topics={**state.topics, "t4": (fewer, *alike[1:])})
    second = decoder.decode(as_bytes(moved, 13), previous, 1)
    assert decoder.decoded == 11
    same = [new is old for new, old in zip(second.topics, first.topics, strict=True)]
    assert same.count(False) == 1
