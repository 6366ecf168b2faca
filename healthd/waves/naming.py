"""What the nodes of a wave are called: brokers, or the servers of a ZooKeeper ensemble."""

from typing import Final

from healthd.waves.playbook import PlaybookTarget
from healthd.waves.state import WaveState

NODE_WORDS: Final = {
    PlaybookTarget.BROKER: "broker",
    PlaybookTarget.ZOOKEEPER: "ZooKeeper server",
}
"""How a node is called in sentences; its number follows."""
_OBJECTS: Final = {PlaybookTarget.BROKER: "broker", PlaybookTarget.ZOOKEEPER: "node"}


def object_for(target: PlaybookTarget, node: int) -> str:
    """The node as the object of a reason: ``broker:2``, or ``node:2`` of an ensemble."""
    return f"{_OBJECTS[target]}:{node}"


def object_of(state: WaveState, node: int) -> str:
    """A node of a wave as the object of a reason."""
    return object_for(state.playbook.target, node)


def name_of(state: WaveState, node: int | None) -> str:
    """A node of a wave in a sentence: ``broker 2``, or ``ZooKeeper server 2``."""
    return f"{NODE_WORDS[state.playbook.target]} {node}"
