"""Brokers whose page does not say which release they are: asked once for each process."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from healthd.collect.observation import BrokerSignals, FailureReason, Origin, PageSeen
from healthd.collect.releases import ASK_AGAIN_SECONDS, ReleaseReader
from healthd.collect.wire import WireClient, WireError, release_of

SILENT = WireError(FailureReason.TIMEOUT, Origin.OURS, "took too long")
FETCH, LIST_OFFSETS, PRODUCE = 1, 2, 0


def speaks(**newest: int) -> Any:
    keys = {"fetch": FETCH, "list_offsets": LIST_OFFSETS, "produce": PRODUCE}
    return SimpleNamespace(
        error_code=0,
        api_keys=[
            SimpleNamespace(api_key=keys[name], min_version=0, max_version=version)
            for name, version in newest.items()
        ],
    )


KAFKA_4_1 = speaks(fetch=18, list_offsets=10, produce=13)
KAFKA_4_2 = speaks(fetch=18, list_offsets=11, produce=13)


@dataclass
class Brokers(WireClient):
    """Answers as the test says; no client behind it."""

    answers: dict[int, Any]
    asked: list[int] = field(default_factory=list)
    gone: bool = False

    def send_all(self, requests: Mapping[Any, tuple[int, Any]]) -> dict[Any, Any]:
        if self.gone:
            raise SILENT
        self.asked += [node for node, _ in requests.values()]
        return {key: self.answers[node] for key, (node, _) in requests.items()}


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def page(version: str | None = None, start: float = 1.0) -> PageSeen:
    return PageSeen(signals=BrokerSignals(version=version, start_time_seconds=start), at=0.0)


def ask(reader: ReleaseReader, pages: Mapping[int, PageSeen]) -> tuple[int, ...]:
    due = reader.due(pages, pages)
    if due:
        reader.read(due, pages)
    return due


def test_what_a_broker_speaks_tells_its_release() -> None:
    assert release_of(KAFKA_4_1) == "4.1"
    assert release_of(KAFKA_4_2) == "4.2"
    assert release_of(speaks(fetch=17, list_offsets=9, produce=11)) == "3.9"
    refused = replace_error(KAFKA_4_1, 35)
    assert release_of(refused) is None


def replace_error(answer: Any, code: int) -> Any:
    return SimpleNamespace(error_code=code, api_keys=answer.api_keys)


def test_only_brokers_whose_page_does_not_say_are_asked_and_only_once() -> None:
    brokers = Brokers({1: KAFKA_4_1, 2: KAFKA_4_2})
    reader = ReleaseReader(brokers, Clock())
    pages = {1: page(), 2: page(), 3: page("4.1.0")}
    assert ask(reader, pages) == (1, 2)
    assert reader.known == {1: "4.1", 2: "4.2"}
    assert ask(reader, pages) == ()
    assert brokers.asked == [1, 2]


def test_a_node_that_is_not_listed_is_not_asked() -> None:
    reader = ReleaseReader(Brokers({}), Clock())
    assert reader.due({1: page(), 9: page()}, {1}) == (1,)


def test_another_process_is_asked_again() -> None:
    brokers = Brokers({1: KAFKA_4_1})
    reader = ReleaseReader(brokers, Clock())
    ask(reader, {1: page(start=1.0)})
    brokers.answers[1] = KAFKA_4_2
    ask(reader, {1: page(start=2.0)})
    assert reader.known == {1: "4.2"}


def test_one_that_does_not_answer_is_unknown_and_asked_again_later() -> None:
    brokers, clock = Brokers({1: KAFKA_4_1}), Clock()
    reader = ReleaseReader(brokers, clock)
    ask(reader, {1: page(start=1.0)})
    brokers.answers[1] = SILENT
    ask(reader, {1: page(start=2.0)})
    assert reader.known == {}
    brokers.answers[1] = KAFKA_4_2
    assert ask(reader, {1: page(start=2.0)}) == ()
    clock.now += ASK_AGAIN_SECONDS
    assert ask(reader, {1: page(start=2.0)}) == (1,)
    assert reader.known == {1: "4.2"}


def test_a_cluster_that_is_away_leaves_all_unknown() -> None:
    reader = ReleaseReader(Brokers({}, gone=True), Clock())
    assert ask(reader, {1: page()}) == (1,)
    assert reader.known == {}
