"""What the planner expects of a wave that is about to begin, kept with it for its report."""

import asyncio

from healthd.engine.collecting import ClusterLoop
from healthd.engine.journal import StoreThread
from healthd.engine.measured import measured_on
from healthd.waves.forecast import with_forecast
from healthd.waves.state import WaveState


async def foreseen(state: WaveState, loop: ClusterLoop, store: StoreThread) -> WaveState:
    """The wave with its forecast, from how long restarts took on the cluster, where that is known.

    A plan for 1,500 brokers takes most of a second; it is made beside the event loop.
    """
    measured = await measured_on(store, state.cluster, state.playbook.target)
    return await asyncio.to_thread(with_forecast, state, loop.view.snapshot, measured)
