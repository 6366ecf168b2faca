"""The `ClusterAdmin`'s in-memory twin."""

from collections.abc import Mapping, Sequence

from healthd.collect.cluster_admin import AdminError, Feature, Partition


class MemoryAdmin:
    """A cluster whose brokers use what they were told.

    Attributes:
        of_brokers: Dynamic configuration of each broker.
        of_all: The default of all brokers.
        known: The features, by name.
        orders: The lists of replicas that partitions were given.
        fails: Raised by the next request, which is carried out before when it may have been.
        is_closed: Whether somebody has let go of it.
    """

    def __init__(self, known: Mapping[str, Feature] | None = None) -> None:
        self.of_brokers: dict[int, dict[str, str]] = {}
        self.of_all: dict[str, str] = {}
        self.known = dict(known or {})
        self.orders: dict[Partition, tuple[int, ...]] = {}
        self.fails: AdminError | None = None
        self.is_closed = False

    async def set_configs(self, broker: int | None, values: Mapping[str, str]) -> None:
        """See `ClusterAdmin`."""
        self._stop_before()
        own = self.of_all if broker is None else self.of_brokers.setdefault(broker, {})
        own.update(values)
        self._stop_after()

    async def configs(self, broker: int, names: tuple[str, ...]) -> Mapping[str, str | None]:
        """See `ClusterAdmin`."""
        self._stop_before()
        found = self.of_all | self.of_brokers.get(broker, {})
        return {name: found[name] for name in names if name in found}

    async def features(self) -> Mapping[str, Feature]:
        """See `ClusterAdmin`."""
        self._stop_before()
        return dict(self.known)

    async def set_feature(self, name: str, level: int) -> None:
        """See `ClusterAdmin`."""
        self._stop_before()
        self.known[name] = Feature(level=level, highest=self.known[name].highest)
        self._stop_after()

    async def reassign(self, orders: Mapping[Partition, Sequence[int]]) -> Mapping[Partition, str]:
        """See `ClusterAdmin`."""
        self._stop_before()
        self.orders |= {partition: tuple(order) for partition, order in orders.items()}
        self._stop_after()
        return {}

    async def aclose(self) -> None:
        """See `ClusterAdmin`."""
        self.is_closed = True

    def _stop_before(self) -> None:
        if self.fails is not None and not self.fails.may_have_been_done:
            fails, self.fails = self.fails, None
            raise fails

    def _stop_after(self) -> None:
        if self.fails is not None:
            fails, self.fails = self.fails, None
            raise fails
