"""Requests that make and change one topic, for the probe's own."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

with warnings.catch_warnings():
    # It reads its protocol's schemas with a function that Python 3.11 calls deprecated.
    warnings.simplefilter("ignore", DeprecationWarning)
    from kafka.protocol.admin import (
        AlterPartitionReassignmentsRequest,
        CreatePartitionsRequest,
        CreateTopicsRequest,
        ElectLeadersRequest,
        IncrementalAlterConfigsRequest,
    )

from healthd.collect.wire import TOPIC_RESOURCE

_SET: Final = 0
_PREFERRED: Final = 0


def create_topic(
    name: str,
    assignments: Iterable[Sequence[int]],
    configs: Mapping[str, str],
    limit_seconds: float,
) -> Any:
    """CreateTopics with the replicas of every partition."""
    topic = CreateTopicsRequest.CreatableTopic
    return CreateTopicsRequest(
        topics=[
            topic(
                name=name,
                num_partitions=-1,
                replication_factor=-1,
                assignments=[
                    topic.CreatableReplicaAssignment(partition_index=at, broker_ids=list(replicas))
                    for at, replicas in enumerate(assignments)
                ],
                configs=[
                    topic.CreatableTopicConfig(name=key, value=value)
                    for key, value in configs.items()
                ],
            )
        ],
        timeout_ms=round(limit_seconds * 1000),
        validate_only=False,
    )


def add_partitions(
    name: str, count: int, assignments: Iterable[Sequence[int]], limit_seconds: float
) -> Any:
    """CreatePartitions with the replicas of each that is new."""
    topic = CreatePartitionsRequest.CreatePartitionsTopic
    return CreatePartitionsRequest(
        topics=[
            topic(
                name=name,
                count=count,
                assignments=[
                    topic.CreatePartitionsAssignment(broker_ids=list(replicas))
                    for replicas in assignments
                ],
            )
        ],
        timeout_ms=round(limit_seconds * 1000),
        validate_only=False,
    )


def reassign(name: str, replicas: Mapping[int, Sequence[int]], limit_seconds: float) -> Any:
    """AlterPartitionReassignments for some partitions of one topic."""
    topic = AlterPartitionReassignmentsRequest.ReassignableTopic
    return AlterPartitionReassignmentsRequest(
        timeout_ms=round(limit_seconds * 1000),
        topics=[
            topic(
                name=name,
                partitions=[
                    topic.ReassignablePartition(partition_index=at, replicas=list(found))
                    for at, found in replicas.items()
                ],
            )
        ],
    )


def set_config(name: str, configs: Mapping[str, str]) -> Any:
    """IncrementalAlterConfigs of one topic."""
    resource = IncrementalAlterConfigsRequest.AlterConfigsResource
    return IncrementalAlterConfigsRequest(
        resources=[
            resource(
                resource_type=TOPIC_RESOURCE,
                resource_name=name,
                configs=[
                    resource.AlterableConfig(name=key, config_operation=_SET, value=value)
                    for key, value in configs.items()
                ],
            )
        ],
        validate_only=False,
    )


def elect_preferred(name: str, partitions: Iterable[int], limit_seconds: float) -> Any:
    """ElectLeaders, the preferred ones, for some partitions of one topic."""
    topic = ElectLeadersRequest.TopicPartitions
    return ElectLeadersRequest(
        election_type=_PREFERRED,
        topic_partitions=[topic(topic=name, partitions=list(partitions))],
        timeout_ms=round(limit_seconds * 1000),
    )
