"""One suite over every implementation of the Store Protocol."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from healthd.store.errors import (
    AlreadyRecorded,
    FencedOut,
    NotRecorded,
    StoreError,
    VersionConflict,
)
from healthd.store.memory import MemoryStore
from healthd.store.protocol import Store
from healthd.store.records import (
    AuditRecord,
    EntryKind,
    Fence,
    FinishedEffect,
    JournalEntry,
    JournalStep,
    Lease,
    LeaseHeld,
    StoredSnapshot,
    WaveRecord,
)
from healthd.store.sqlite import SqliteStore

WAVE = WaveRecord(
    id="w1",
    cluster="payments",
    name="june",
    reason="CHG-1",
    requested_by="alice",
    created_at=100.0,
    updated_at=100.0,
    status="planned",
    state='{"brokers": []}',
)


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    opened: dict[str, Callable[[], Store]] = {
        "memory": MemoryStore,
        "sqlite": lambda: SqliteStore.open(tmp_path / "state"),
    }
    made = opened[request.param]()
    yield made
    made.close()


def event(body: str = "{}") -> JournalEntry:
    return JournalEntry(kind=EntryKind.EVENT, body=body)


def effect(effect_id: str, body: str = "{}") -> JournalEntry:
    return JournalEntry(kind=EntryKind.EFFECT, body=body, effect_id=effect_id)


def lease_for(store: Store, wave_id: str = "w1", *, now: float = 100.0) -> Lease:
    answer = store.acquire(
        "payments", wave_id=wave_id, instance="i1", holder="alice", now=now, ttl_seconds=30.0
    )
    assert isinstance(answer, Lease)
    return answer


def step(version: int, *entries: JournalEntry, fence: Fence | None = None) -> JournalStep:
    return JournalStep(
        wave_id="w1",
        expected_version=version,
        at=101.0,
        status="running",
        state=f'{{"after": {version}}}',
        entries=entries,
        fence=fence,
    )


def everything(store: Store) -> tuple[object, ...]:
    return (
        store.waves(),
        store.journal("w1"),
        store.effects_open("w1"),
        store.leases(),
        store.audit_records(),
    )


def test_a_wave_reads_back_as_it_was_created(store: Store) -> None:
    store.create_wave(WAVE)
    assert store.wave("w1") == WAVE
    assert store.wave("w2") is None


def test_a_wave_always_starts_at_version_one(store: Store) -> None:
    store.create_wave(replace(WAVE, version=7))
    assert store.wave("w1") == WAVE


def test_a_wave_id_is_never_used_twice(store: Store) -> None:
    store.create_wave(WAVE)
    with pytest.raises(AlreadyRecorded, match="w1"):
        store.create_wave(replace(WAVE, name="other"), audit=(audit_of("alice"),))
    assert store.wave("w1") == WAVE
    assert store.audit_records() == ()


def test_waves_are_listed_in_the_order_of_creation(store: Store) -> None:
    store.create_wave(replace(WAVE, id="b", created_at=2.0))
    store.create_wave(replace(WAVE, id="a", created_at=3.0))
    store.create_wave(replace(WAVE, id="c", created_at=2.0))
    assert [wave.id for wave in store.waves()] == ["b", "c", "a"]


@pytest.mark.parametrize("status", ["succeeded", "failed", "aborted"])
def test_a_wave_that_has_ended_is_not_active(store: Store, status: str) -> None:
    store.create_wave(WAVE)
    store.create_wave(replace(WAVE, id="w2"))
    store.append(replace(step(1), status=status))
    assert [wave.id for wave in store.waves(active_only=True)] == ["w2"]
    assert len(store.waves()) == 2


def test_a_step_writes_state_status_version_and_journal_together(store: Store) -> None:
    store.create_wave(WAVE)
    fence = lease_for(store).fence
    entries = (event('{"e": 1}'), effect("stop-1", '{"f": 1}'))
    assert store.append(step(1, *entries, fence=fence)) == 2
    written = store.wave("w1")
    assert written is not None
    assert (written.version, written.status, written.updated_at) == (2, "running", 101.0)
    assert written.state == '{"after": 1}'
    assert written.created_at == 100.0
    assert [(row.kind, row.body, row.effect_id) for row in store.journal("w1")] == [
        (EntryKind.EVENT, '{"e": 1}', None),
        (EntryKind.EFFECT, '{"f": 1}', "stop-1"),
    ]


def test_a_step_writes_the_parts_that_changed_and_the_others_stay(store: Store) -> None:
    store.create_wave(WAVE)
    store.create_wave(replace(WAVE, id="w2"))
    store.append(replace(step(1), parts={"a": "1", "b": "2"}))
    store.append(replace(step(1), wave_id="w2", parts={"a": "of another wave"}))
    store.append(replace(step(2), parts={"b": "3", "c": "4"}))
    store.append(replace(step(3), parts={}))
    found = store.wave("w1")
    assert found is not None
    assert found.parts == {"a": "1", "b": "3", "c": "4"}
    assert found.state == '{"after": 3}'
    assert [wave.parts for wave in store.waves()] == [found.parts, {"a": "of another wave"}]


def test_a_step_with_the_whole_state_drops_all_parts_of_its_wave(store: Store) -> None:
    store.create_wave(WAVE)
    store.create_wave(replace(WAVE, id="w2"))
    store.append(replace(step(1), parts={"a": "1"}))
    store.append(replace(step(1), wave_id="w2", parts={"a": "1"}))
    store.append(step(2))
    assert [wave.parts for wave in store.waves()] == [{}, {"a": "1"}]


def test_a_step_that_is_refused_writes_no_part(store: Store) -> None:
    store.create_wave(WAVE)
    store.append(replace(step(1), parts={"a": "1"}))
    for refused in (replace(step(1), parts={"a": "2"}), step(1)):
        with pytest.raises(VersionConflict):
            store.append(refused)
    found = store.wave("w1")
    assert found is not None
    assert found.parts == {"a": "1"}


def test_every_effect_that_was_ever_intended_is_known(store: Store) -> None:
    store.create_wave(WAVE)
    fence = lease_for(store).fence
    store.append(step(1, effect("stop-1"), effect("start-1"), event(), fence=fence))
    store.finish_effect("w1", "stop-1", outcome="{}", at=102.0, fence=fence)
    assert store.effects_intended("w1") == {"stop-1", "start-1"}
    assert store.effects_intended("w2") == frozenset()


def test_the_journal_is_read_on_from_a_line(store: Store) -> None:
    store.create_wave(WAVE)
    store.create_wave(replace(WAVE, id="w2"))
    store.append(step(1, event("1"), event("2")))
    store.append(replace(step(1, event("x")), wave_id="w2"))
    store.append(step(2, event("3")))
    lines = store.journal("w1")
    assert [row.body for row in lines] == ["1", "2", "3"]
    assert sorted({row.seq for row in lines}) == [row.seq for row in lines]
    assert [row.body for row in store.journal("w1", after_seq=lines[1].seq)] == ["3"]


def test_a_step_made_from_an_old_version_changes_nothing(store: Store) -> None:
    store.create_wave(WAVE)
    fence = lease_for(store).fence
    store.append(step(1, fence=fence))
    before = everything(store)
    with pytest.raises(VersionConflict, match="at version 2"):
        store.append(replace(step(1, effect("e"), fence=fence), audit=(audit_of("bob"),)))
    assert everything(store) == before


def test_a_step_of_an_unknown_wave_is_refused(store: Store) -> None:
    with pytest.raises(NotRecorded, match="w1"):
        store.append(step(1))


def test_an_effect_is_open_until_it_is_finished(store: Store) -> None:
    store.create_wave(WAVE)
    fence = lease_for(store).fence
    store.append(step(1, effect("stop-1", "S"), effect("start-1", "T"), fence=fence))
    assert [(e.effect_id, e.body, e.intended_at) for e in store.effects_open("w1")] == [
        ("stop-1", "S", 101.0),
        ("start-1", "T", 101.0),
    ]
    done = FinishedEffect(effect_id="stop-1", outcome='{"ok": true}')
    store.append(replace(step(2, fence=fence), finished=(done,)))
    assert [e.effect_id for e in store.effects_open("w1")] == ["start-1"]
    last = store.journal("w1")[-1]
    assert (last.kind, last.effect_id, last.body) == (
        EntryKind.OUTCOME,
        "stop-1",
        '{"ok": true}',
    )


def test_an_effect_can_be_finished_by_itself_and_its_first_outcome_stays(store: Store) -> None:
    store.create_wave(WAVE)
    fence = lease_for(store).fence
    store.append(step(1, effect("e"), fence=fence))
    assert store.finish_effect("w1", "e", outcome="first", at=102.0, fence=fence)
    assert not store.finish_effect("w1", "e", outcome="second", at=103.0, fence=fence)
    assert [row.body for row in store.journal("w1") if row.kind is EntryKind.OUTCOME] == ["first"]
    assert store.effects_open("w1") == ()
    found = store.wave("w1")
    assert found is not None
    assert found.version == 2


def test_an_effect_id_is_never_used_twice_in_a_wave(store: Store) -> None:
    store.create_wave(WAVE)
    fence = lease_for(store).fence
    store.append(step(1, effect("e"), fence=fence))
    store.finish_effect("w1", "e", outcome="{}", at=102.0, fence=fence)
    before = everything(store)
    with pytest.raises(AlreadyRecorded, match="effect e"):
        store.append(step(2, event(), effect("e"), fence=fence))
    with pytest.raises(AlreadyRecorded, match="effect f"):
        store.append(step(2, effect("f"), effect("f"), fence=fence))
    assert everything(store) == before


def test_an_effect_that_was_never_intended_cannot_be_finished(store: Store) -> None:
    store.create_wave(WAVE)
    fence = lease_for(store).fence
    before = everything(store)
    with pytest.raises(NotRecorded, match="effect e"):
        store.finish_effect("w1", "e", outcome="{}", at=1.0, fence=fence)
    done = FinishedEffect(effect_id="e", outcome="{}")
    with pytest.raises(NotRecorded, match="effect e"):
        store.append(replace(step(1, event(), fence=fence), finished=(done,)))
    assert everything(store) == before


def test_a_lost_lease_fences_every_write_out(store: Store) -> None:
    store.create_wave(WAVE)
    old = lease_for(store)
    store.append(step(1, effect("e"), fence=old.fence))
    new = lease_for(store)
    before = everything(store)
    with pytest.raises(FencedOut, match="payments"):
        store.append(step(2, event(), fence=old.fence))
    with pytest.raises(FencedOut):
        store.finish_effect("w1", "e", outcome="{}", at=1.0, fence=old.fence)
    with pytest.raises(FencedOut):
        store.renew(old.fence, now=101.0, ttl_seconds=30.0)
    assert not store.release(old.fence)
    assert everything(store) == before
    store.append(step(2, event(), fence=new.fence))


def test_a_lease_of_another_wave_does_not_cover_a_write(store: Store) -> None:
    store.create_wave(WAVE)
    other = lease_for(store, "w2")
    with pytest.raises(FencedOut, match="w2"):
        store.append(step(1, effect("e"), fence=other.fence))


def test_an_expired_lease_that_nobody_took_still_lets_its_wave_write(store: Store) -> None:
    store.create_wave(WAVE)
    fence = lease_for(store, now=0.0).fence
    assert store.append(replace(step(1, effect("start-1"), fence=fence), at=9999.0)) == 2
    assert store.renew(fence, now=9999.0, ttl_seconds=30.0).expires_at == 10029.0


def test_a_second_wave_is_told_who_holds_the_cluster_since_when_and_for_what(store: Store) -> None:
    lease_for(store, now=100.0)
    for instance in ("i1", "i2"):
        held = store.acquire(
            "payments", wave_id="w2", instance=instance, holder="bob", now=129.0, ttl_seconds=30.0
        )
        assert held == LeaseHeld(
            cluster="payments",
            instance="i1",
            holder="alice",
            wave_id="w1",
            since=100.0,
            expires_at=130.0,
        )


def test_leases_of_different_clusters_do_not_touch(store: Store) -> None:
    lease_for(store)
    other = store.acquire(
        "orders", wave_id="w2", instance="i1", holder="bob", now=100.0, ttl_seconds=30.0
    )
    assert isinstance(other, Lease)
    assert [lease.cluster for lease in store.leases()] == ["orders", "payments"]


def test_the_same_instance_takes_its_waves_lease_back_at_once(store: Store) -> None:
    first = lease_for(store, now=100.0)
    again = lease_for(store, now=101.0)
    assert again.token > first.token
    assert (again.since, again.expires_at, again.took_over) == (100.0, 131.0, None)


def test_a_dead_holders_lease_is_taken_over_after_its_time_and_named(store: Store) -> None:
    first = lease_for(store, now=100.0)
    taken = store.acquire(
        "payments", wave_id="w2", instance="i2", holder="bob", now=130.0, ttl_seconds=30.0
    )
    assert isinstance(taken, Lease)
    assert taken.token > first.token
    assert (taken.took_over, taken.since) == ("w1", 130.0)


def test_a_renewed_lease_is_not_taken_over_at_its_first_end(store: Store) -> None:
    lease = lease_for(store, now=100.0)
    renewed = store.renew(lease.fence, now=120.0, ttl_seconds=30.0)
    assert renewed == replace(lease, expires_at=150.0)
    held = store.acquire(
        "payments", wave_id="w2", instance="i2", holder="bob", now=131.0, ttl_seconds=30.0
    )
    assert isinstance(held, LeaseHeld)


def test_tokens_grow_over_release_and_are_never_given_again(store: Store) -> None:
    tokens = []
    for _ in range(3):
        lease = lease_for(store)
        tokens.append(lease.token)
        assert store.release(lease.fence)
        assert not store.release(lease.fence)
    assert tokens == sorted(set(tokens))
    assert store.leases() == ()
    with pytest.raises(FencedOut, match="nobody"):
        store.renew(Fence(cluster="payments", token=tokens[-1]), now=1.0, ttl_seconds=1.0)


def test_the_last_step_gives_the_lease_back_in_the_same_write(store: Store) -> None:
    store.create_wave(WAVE)
    fence = lease_for(store).fence
    store.append(replace(step(1, fence=fence), status="succeeded", releases_lease=True))
    assert store.leases() == ()
    assert isinstance(lease_for(store, "w2"), Lease)


def test_a_person_pauses_a_wave_that_nobody_drives_without_a_lease(store: Store) -> None:
    store.create_wave(WAVE)
    store.append(replace(step(1, event()), status="paused", audit=(audit_of("alice"),)))
    assert [record.who for record in store.audit_records()] == ["alice"]


def audit_of(who: str, at: float = 1.0) -> AuditRecord:
    return AuditRecord(at=at, who=who, what="wave.pause", target="w1", why="CHG-1")


def test_audit_records_are_read_newest_first_up_to_a_limit(store: Store) -> None:
    for number in range(5):
        store.audit(audit_of(f"person-{number}", at=1.0))
    assert [record.who for record in store.audit_records(limit=2)] == ["person-4", "person-3"]
    assert store.audit_records(limit=1) == (audit_of("person-4"),)


def test_the_last_snapshot_of_each_cluster_is_kept(store: Store) -> None:
    store.save_snapshot(StoredSnapshot(cluster="b", at=1.0, body='{"é": 1}'))
    store.save_snapshot(StoredSnapshot(cluster="a", at=1.0, body="{}"))
    store.save_snapshot(StoredSnapshot(cluster="b", at=3.0, body='{"é": 3}'))
    store.save_snapshot(StoredSnapshot(cluster="b", at=2.0, body='{"é": 2}'))
    assert store.load_snapshots() == (
        StoredSnapshot(cluster="a", at=1.0, body="{}"),
        StoredSnapshot(cluster="b", at=3.0, body='{"é": 3}'),
    )


def test_a_cluster_that_left_the_fleet_is_forgotten(store: Store) -> None:
    store.save_snapshot(StoredSnapshot(cluster="a", at=1.0, body="{}"))
    store.forget_snapshot("a")
    store.forget_snapshot("never-seen")
    assert store.load_snapshots() == ()


def test_space_that_was_reserved_is_ok(store: Store) -> None:
    store.reserve_space(65_536)
    assert store.space_ok()


def test_a_store_that_was_never_restored_says_so(store: Store) -> None:
    assert store.restored_at() is None


def test_two_writers_of_one_version_cannot_both_win(store: Store) -> None:
    store.create_wave(WAVE)

    def attempt(number: int) -> bool:
        try:
            store.append(step(1, event(str(number))))
        except VersionConflict:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(attempt, range(16)))
    assert won.count(True) == 1
    assert len(store.journal("w1")) == 1


def test_two_askers_cannot_both_get_a_lease(store: Store) -> None:
    def attempt(number: int) -> Lease | LeaseHeld:
        return store.acquire(
            "payments",
            wave_id=f"w{number}",
            instance="i1",
            holder="alice",
            now=1.0,
            ttl_seconds=30.0,
        )

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(attempt, range(16)))
    assert sum(isinstance(answer, Lease) for answer in answers) == 1


def test_every_error_says_what_where_and_what_to_do(store: Store) -> None:
    with pytest.raises(StoreError) as caught:
        store.append(step(1))
    assert caught.value.what
    assert caught.value.where == "wave w1"
    assert caught.value.todo
    assert str(caught.value) == "there is no wave w1 (wave w1); see healthd wave list"
