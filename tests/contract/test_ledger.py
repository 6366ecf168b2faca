"""One suite over every implementation of the ledger."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from healthd.store.errors import StoreFull
from healthd.store.ledger import LedgerEvent, LedgerWrite
from healthd.store.memory import MemoryStore
from healthd.store.protocol import Store
from healthd.store.records import AuditRecord
from healthd.store.sqlite import SqliteStore

OUT = {"state": "OUT", "ejections": 2, "words": ["ü", None, 1.5]}
AUDIT = AuditRecord(at=1.0, who="ann", what="route_force", why="drill", target="payments")


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    opened: dict[str, Callable[[], Store]] = {
        "memory": MemoryStore,
        "sqlite": lambda: SqliteStore.open(tmp_path / "state"),
    }
    made = opened[request.param]()
    yield made
    made.close()


def event(at: float, subject: str = "payments", kind: str = "verdict") -> LedgerEvent:
    return LedgerEvent(at=at, kind=kind, subject=subject, body={"to": "OUT"})


def test_a_document_reads_back_as_it_was_written_and_is_replaced_whole(store: Store) -> None:
    store.ledger.write(LedgerWrite(kind="routing", documents={"payments": OUT, "web": {"n": 1}}))
    store.ledger.write(LedgerWrite(kind="routing", documents={"web": {"m": 2}}))
    assert store.ledger.documents("routing") == {"payments": OUT, "web": {"m": 2}}


def test_kinds_do_not_touch_and_none_removes(store: Store) -> None:
    store.ledger.write(LedgerWrite(kind="routing", documents={"a": OUT, "b": OUT}))
    store.ledger.write(LedgerWrite(kind="mute", documents={"a": {"until": 3}}))
    store.ledger.write(LedgerWrite(kind="routing", documents={"a": None, "never": None}))
    assert store.ledger.documents("routing") == {"b": OUT}
    assert store.ledger.documents("mute") == {"a": {"until": 3}}


def test_events_are_read_newest_first_by_kind_subject_and_time(store: Store) -> None:
    events = (event(10.0), event(20.0, "web"), event(30.0, kind="force"), event(40.0))
    store.ledger.write(LedgerWrite(kind="routing", documents={}, events=events))
    ledger = store.ledger
    assert [found.at for found in ledger.events()] == [40.0, 30.0, 20.0, 10.0]
    assert [found.at for found in ledger.events(kind="verdict")] == [40.0, 20.0, 10.0]
    assert [found.at for found in ledger.events(subject="web")] == [20.0]
    assert [found.at for found in ledger.events(since=20.0, until=40.0)] == [30.0, 20.0]
    assert [found.at for found in ledger.events(limit=1)] == [40.0]
    assert ledger.events(limit=1)[0].body == {"to": "OUT"}


def test_numbers_of_events_grow_and_are_never_used_again(store: Store) -> None:
    for at in (1.0, 2.0):
        store.ledger.write(LedgerWrite(kind="x", documents={}, events=(event(at),)))
    newest = store.ledger.events()[0].seq
    assert store.ledger.forget_events(before=10.0) == 2
    store.ledger.write(LedgerWrite(kind="x", documents={}, events=(event(3.0),)))
    assert store.ledger.events()[0].seq > newest


def test_old_events_are_dropped_and_no_others(store: Store) -> None:
    store.ledger.write(
        LedgerWrite(kind="x", documents={}, events=(event(1.0), event(2.0), event(3.0)))
    )
    assert store.ledger.forget_events(before=2.0) == 1
    assert [found.at for found in store.ledger.events()] == [3.0, 2.0]


def test_audit_records_are_written_with_what_they_are_about(store: Store) -> None:
    store.ledger.write(LedgerWrite(kind="routing", documents={"payments": OUT}, audit=(AUDIT,)))
    assert store.audit_records() == (AUDIT,)


def test_a_write_that_cannot_be_kept_as_json_changes_nothing(store: Store) -> None:
    bad = LedgerWrite(
        kind="routing",
        documents={"a": OUT, "b": {"index": float("nan")}},
        events=(event(1.0),),
        audit=(AUDIT,),
    )
    with pytest.raises(ValueError, match="JSON compliant"):
        store.ledger.write(bad)
    assert store.ledger.documents("routing") == {}
    assert store.ledger.events() == ()
    assert store.audit_records() == ()


def test_a_full_disk_refuses_the_write_whole() -> None:
    store = MemoryStore()
    store.fail_writes_with = StoreFull("the disk is full", where="/state", todo="make room")
    with pytest.raises(StoreFull):
        store.ledger.write(LedgerWrite(kind="routing", documents={"a": OUT}))
    store.fail_writes_with = None
    assert store.ledger.documents("routing") == {}
