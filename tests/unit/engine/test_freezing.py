"""Freezes as the daemon keeps them."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from support.daemon import config_of
from support.virtual_time import in_virtual_time

from healthd.config.fleet import Fleet
from healthd.engine.clock import Clock
from healthd.engine.freezing import AGAIN_SECONDS, FORGET_SECONDS, KIND, Freezer, freeze_view
from healthd.engine.journal import StoreThread
from healthd.engine.view import OrderRefused, Refusal
from healthd.model.codes import ReasonCode
from healthd.model.moments import moment_text
from healthd.store.errors import StoreDamaged, StoreFull
from healthd.store.ledger import LedgerWrite
from healthd.store.memory import MemoryStore
from healthd.waves.freezes import FROM_FILE, Freeze

START = 1_767_268_800.0
FROM_THE_FILE = Freeze(
    name="year-end", reason="closing", by=FROM_FILE, is_for_all=True, is_from_file=True, ends=START
)


@dataclass
class Frozen:
    """A freezer in virtual time, over clusters payments and ledger (both env=test)."""

    store: MemoryStore = field(default_factory=MemoryStore)
    fleet: Fleet = field(
        default_factory=lambda: Fleet(
            clusters=(config_of("payments"), config_of("ledger")), freezes=(FROM_THE_FILE,)
        )
    )
    freezer: Freezer = field(init=False)

    def __post_init__(self) -> None:
        now = asyncio.get_running_loop().time
        clock = Clock(monotonic=now, wall=lambda: START + now())
        self.freezer = Freezer(StoreThread(self.store), clock, lambda: self.fleet)

    async def add(self, **changes: Any) -> Freeze:
        """Freeze payments."""
        request = {"name": "audit", "reason": "audit week", "clusters": ["payments"]} | changes
        return await self.freezer.add(request, by="ann")

    def held(self, cluster: str = "payments") -> list[str]:
        """What freezes put in its way."""
        holds = self.freezer.holds(cluster, {"env": "test"})
        assert all(hold.code is ReasonCode.FREEZE for hold in holds)
        assert all(hold.object == f"cluster:{cluster}" for hold in holds)
        return [hold.detail for hold in holds]


@in_virtual_time
async def test_a_freeze_is_on_disk_in_the_audit_log_and_survives_a_restart() -> None:
    frozen = Frozen()
    made = await frozen.add(seconds=600)
    assert made.ends == START + 600
    (record,) = frozen.store.audit_records()
    assert (record.who, record.what, record.why) == ("ann", "freeze", "audit week")
    assert record.target == "freeze:audit"
    again = Frozen(store=frozen.store)
    await again.freezer.load()
    assert again.freezer.all() == (FROM_THE_FILE, made)
    assert again.held() == ["audit, by ann, until 2026-01-01T12:10:00Z: audit week"]
    assert again.held("ledger") == []
    await asyncio.sleep(600)
    assert again.held() == []


@in_virtual_time
async def test_it_is_written_to_the_history_of_each_cluster_that_it_covers() -> None:
    frozen = Frozen()
    await frozen.add(clusters=[], match={"env": "test"})
    events = frozen.store.ledger.events(kind=KIND)
    assert {event.subject for event in events} == {"payments", "ledger"}
    assert events[0].body["reason"] == "audit week"


@in_virtual_time
async def test_one_that_is_removed_holds_nothing_any_more() -> None:
    frozen = Frozen()
    await frozen.add(all=True, clusters=[])
    assert frozen.held("ledger") != []
    await frozen.freezer.remove("audit", by="bob", reason="done early")
    assert frozen.held("ledger") == []
    assert frozen.store.ledger.documents(KIND) == {}
    newest = frozen.store.audit_records()[0]
    assert (newest.who, newest.what, newest.why) == ("bob", "unfreeze", "done early")


@in_virtual_time
async def test_a_freeze_of_the_fleet_file_counts_and_is_removed_there_only() -> None:
    frozen = Frozen()
    on = Freeze(name="move", reason="r", by=FROM_FILE, clusters=("ledger",), is_from_file=True)
    frozen.fleet = Fleet(clusters=frozen.fleet.clusters, freezes=(on,))
    assert frozen.held("ledger") == ["move, by fleet file, until it is removed: r"]
    with pytest.raises(OrderRefused, match="remove it there and reload"):
        await frozen.freezer.remove("move", by="ann", reason="r")


@pytest.mark.parametrize(
    ("request_", "refusal", "message"),
    [
        ({"clusters": ["nope"]}, Refusal.UNKNOWN, "there is no cluster nope; there are: payments"),
        ({"clusters": [], "match": {"env": "prd"}}, Refusal.INVALID, "no cluster has the labels"),
        ({"clusters": []}, Refusal.INVALID, "exactly one of"),
        ({"all": True}, Refusal.INVALID, "exactly one of"),
        ({"until": "2025-01-01T00:00:00Z"}, Refusal.INVALID, "would end before it begins"),
        (
            {"from": "2026-02-02T00:00:00Z", "until": "2026-02-01T00:00:00Z"},
            Refusal.INVALID,
            "would end before it begins",
        ),
        ({"until": "2026-02-01T00:00"}, Refusal.INVALID, "until: needs its zone"),
        ({"from": "soon"}, Refusal.INVALID, "from: must be a time"),
        ({"until": "2026-02-01T00:00Z", "seconds": 5}, Refusal.INVALID, "not both"),
        ({"name": "a b"}, Refusal.INVALID, "is no name"),
        ({"name": "year-end"}, Refusal.CONFLICT, "the fleet file has a freeze year-end"),
    ],
)
@in_virtual_time
async def test_a_freeze_that_freezes_nothing_is_refused_and_nothing_is_written(
    request_: dict[str, Any], refusal: Refusal, message: str
) -> None:
    frozen = Frozen()
    with pytest.raises(OrderRefused, match=message) as refused:
        await frozen.add(**request_)
    assert refused.value.refusal is refusal
    assert frozen.store.ledger.documents(KIND) == {}
    assert frozen.store.audit_records() == ()


@in_virtual_time
async def test_a_name_is_taken_until_its_freeze_is_over() -> None:
    frozen = Frozen()
    await frozen.add(seconds=60)
    with pytest.raises(OrderRefused, match="of that name already"):
        await frozen.add()
    await asyncio.sleep(60)
    await frozen.add()
    assert len(frozen.held()) == 1


@in_virtual_time
async def test_removing_what_is_not_there_names_what_is() -> None:
    frozen = Frozen()
    await frozen.add()
    with pytest.raises(OrderRefused, match="there is no freeze x; there are: audit") as refused:
        await frozen.freezer.remove("x", by="ann", reason="r")
    assert refused.value.refusal is Refusal.UNKNOWN


def failing(store: MemoryStore, error: Exception) -> Callable[[], None]:
    """Make every read and write of the ledger fail, until the function is called."""
    ledger = store.ledger

    class Failing:
        def documents(self, _kind: str) -> Any:
            raise error

        def write(self, _write: LedgerWrite) -> None:
            raise error

    store.ledger = Failing()  # type: ignore[assignment,misc]

    def mend() -> None:
        store.ledger = ledger  # type: ignore[misc]

    return mend


@in_virtual_time
async def test_freezes_that_cannot_be_read_close_every_cluster_until_they_can() -> None:
    frozen = Frozen()
    mend = failing(
        frozen.store, StoreDamaged("the state file is damaged", where="state.db", todo="restore it")
    )
    await frozen.freezer.load()
    assert frozen.held("ledger") == [
        "the freezes cannot be read: the state file is damaged (state.db); restore it"
    ]
    with pytest.raises(OrderRefused, match="cannot be read"):
        await frozen.add()
    mend()
    await asyncio.sleep(AGAIN_SECONDS + 1)
    assert frozen.held("ledger") == []
    await frozen.freezer.close()


@in_virtual_time
async def test_one_that_nobody_understands_closes_every_cluster_until_it_is_removed() -> None:
    frozen = Frozen()
    body = {"kind": "of a later version"}
    frozen.store.ledger.write(LedgerWrite(kind=KIND, documents={"odd": body}))
    await frozen.freezer.load()
    assert frozen.held("ledger") == ["freeze odd cannot be read: KeyError: 'from'"]
    with pytest.raises(OrderRefused, match="cannot be read; remove it"):
        await frozen.add(name="odd")
    await frozen.freezer.remove("odd", by="ann", reason="unreadable")
    assert frozen.held("ledger") == []
    assert frozen.store.ledger.documents(KIND) == {}


@in_virtual_time
async def test_what_cannot_be_written_changes_nothing() -> None:
    frozen = Frozen()
    await frozen.add()
    failing(frozen.store, StoreFull("no space", where="state.db", todo="free some"))
    with pytest.raises(OrderRefused, match="nothing was changed: no space"):
        await frozen.add(name="another")
    with pytest.raises(OrderRefused, match="nothing was changed"):
        await frozen.freezer.remove("audit", by="ann", reason="r")
    assert len(frozen.held()) == 1


@in_virtual_time
async def test_what_is_long_over_is_not_shown_any_more_after_a_restart() -> None:
    frozen = Frozen()
    await frozen.add(seconds=60)
    await asyncio.sleep(60 + FORGET_SECONDS)
    again = Frozen(store=frozen.store)
    await again.freezer.load()
    assert again.freezer.all() == (FROM_THE_FILE,)


@in_virtual_time
async def test_it_is_shown_as_over_on_or_still_to_come() -> None:
    frozen = Frozen()
    later = await frozen.add(**{"from": moment_text(START + 60), "seconds": 60})
    states = [freeze_view(later, START + seconds)["state"] for seconds in (0, 60, 119, 120)]
    assert states == ["to come", "on", "on", "over"]
    assert frozen.held() == []
