"""The quorum of the model: who is active, with a real majority, in KRaft and with ZooKeeper."""

from collections.abc import Callable, Mapping
from random import Random

from healthd.model.snapshot import NO_LEADER, Quorum, Voter
from healthd.model.words import QuorumMode
from healthd.rehearsal.agenda import Agenda
from healthd.rehearsal.nodes import Node, Phase, Timing

FETCH_TIMEOUT_MS = 2000


class QuorumNow:
    """Who is the active controller, and what keeps it so.

    What needs a controller (a new leader, a changed ISR, a registration) is handed to
    `by_controller`, and waits while there is none.
    """

    def __init__(
        self,
        agenda: Agenda,
        nodes: Mapping[int, Node],
        timing: Timing,
        *,
        given: Quorum | None,
        chance: Random | None = None,
    ) -> None:
        self.agenda = agenda
        self.given = given
        self.absent_since: float | None = None
        self._nodes = nodes
        self._timing = timing
        self._chance = chance
        self._waiting: list[Callable[[], None]] = []
        self._voters = () if given is None else tuple(voter.id for voter in given.voters)
        self._rows = {} if given is None else {voter.id: voter for voter in given.voters}
        self.leader = _leader_of(given)
        absent = None if given is None else given.controller_absent_seconds
        if absent:
            # Also with a leader: then the nodes do not agree on it.
            self.absent_since = agenda.now - absent
        self._held_back: dict[int, float] = {}
        """Servers of a ZooKeeper ensemble that do not follow, and since when."""

    @property
    def is_zookeeper(self) -> bool:
        """Whether ZooKeeper keeps the metadata."""
        return self.given is not None and self.given.mode is QuorumMode.ZOOKEEPER

    @property
    def is_led(self) -> bool:
        """Whether a controller is active, or nothing says that there is none."""
        if self.given is None or self.given.leader_id is None:
            return True
        return self.leader != NO_LEADER and self.absent_since is None

    def by_controller(self, act: Callable[[], None]) -> None:
        """Have a controller do something: now, or as soon as there is one."""
        if self.is_led:
            act()
        else:
            self._waiting.append(act)

    def may_have_changed(self) -> None:
        """Look whether the active controller still is one; after the loss, another is elected."""
        if self.given is None or (self.given.leader_id is None and self.leader == NO_LEADER):
            return
        if self.leader != NO_LEADER and self._leads(self.leader) and self._has_majority():
            return
        if self.absent_since is None:
            self.absent_since = self.agenda.now
        self.leader = NO_LEADER
        if self._candidates() and self._has_majority():
            self.agenda.after(self._timing.election, self._elect)

    def expire(self, node: int) -> None:
        """ZooKeeper has noticed that a broker is gone."""
        if self.is_zookeeper and node == self.leader:
            self.leader = NO_LEADER
            self.may_have_changed()

    def move(self, to: int) -> bool:
        """Let another node be active, if it can; whether it is."""
        if self.leader in {NO_LEADER, to} or not self._leads(to):
            return to == self.leader
        self.leader = to
        return True

    def hold_back(self, voter: int) -> None:
        """Keep a voter from following; an active one gives way to another first."""
        if self.is_zookeeper:
            self._held_back[voter] = self.agenda.now
            return
        it = self._nodes[voter]
        if it.votes:
            it.caught_up_at = self.agenda.now
        it.behind += 1
        self.may_have_changed()

    def let_follow(self, voter: int) -> None:
        """Let a voter follow again."""
        if self.is_zookeeper:
            self._held_back.pop(voter, None)
            return
        self._nodes[voter].behind -= 1
        self.may_have_changed()

    def may_lead(self, node: int) -> bool:
        """Whether a node can be the active controller at all."""
        return node in self._rows if not self.is_zookeeper else self._nodes[node].is_broker

    def _leads(self, node: int) -> bool:
        it = self._nodes.get(node)
        if it is None:
            return False
        if not self.is_zookeeper:
            return it.votes
        # Its session outlives its process, for as long as ZooKeeper waits for it.
        return it.is_registered and it.phase is not Phase.STARTING

    def _has_majority(self) -> bool:
        if self.is_zookeeper:
            return True  # The ensemble's servers are nobody's restart.
        voting = [voter for voter in self._voters if self._nodes[voter].votes]
        return len(voting) > len(self._voters) // 2

    def _candidates(self) -> list[int]:
        if self.is_zookeeper:
            return [node.id for node in self._nodes.values() if node.is_broker and node.serves]
        return [voter for voter in self._voters if self._nodes[voter].votes]

    def _elect(self) -> None:
        candidates = self._candidates()
        if self.leader != NO_LEADER or not candidates or not self._has_majority():
            return
        self.leader = candidates[0] if self._chance is None else self._chance.choice(candidates)
        self.absent_since = None
        waiting, self._waiting = self._waiting, []
        for act in waiting:
            act()

    def as_seen(self) -> Quorum | None:
        """The quorum as a source shows it now."""
        given = self.given
        if given is None:
            return None
        now = self.agenda.now
        absent = given.absent_seconds
        if self.absent_since is not None:
            absent = max(0.001, round(now - self.absent_since, 3))
        elif absent is not None:
            absent = 0.0
        return Quorum(
            mode=given.mode,
            leader_id=given.leader_id if given.leader_id is None else self.leader,
            fetch_timeout_ms=given.fetch_timeout_ms,
            absent_seconds=absent,
            voters=tuple(self._voter(row, now) for row in given.voters),
        )

    def _voter(self, row: Voter, now: float) -> Voter:
        """A voter with its time moved on for as long as it follows."""
        it = None if self.is_zookeeper else self._nodes[row.id]
        until = now if it is None or it.votes else it.caught_up_at
        until = self._held_back.get(row.id, until)
        moved = int(1000 * until)
        own, end = row.last_caught_up_ms, row.log_end_offset
        if it is not None and it.starts > 1 and it.votes:
            own = self._leaders_own  # It was started anew, and follows closely since.
        return Voter(
            id=row.id,
            last_caught_up_ms=own if own is None or own < 0 else own + moved,
            log_end_offset=end if end is None or end < 0 else end + moved // 1000,
        )

    @property
    def _leaders_own(self) -> int:
        known = [row.last_caught_up_ms for row in self._rows.values()]
        return max([time for time in known if time is not None and time >= 0], default=10_000)


def _leader_of(given: Quorum | None) -> int:
    return NO_LEADER if given is None or given.leader_id is None else given.leader_id
