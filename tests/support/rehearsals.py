"""Clusters to rehearse on, as documents."""

from typing import Any


def cluster_document(
    *,
    brokers: int = 5,
    factor: int = 3,
    min_isr: int = 2,
    partitions: int = 10,
    voters: int = 3,
) -> dict[str, Any]:
    """Brokers with partitions all around them; the first few are controllers too."""
    ids = list(range(1, brokers + 1))
    rows = []
    for number in range(partitions):
        replicas = [ids[(number + at) % brokers] for at in range(factor)]
        rows.append({"id": number, "leader": replicas[0], "replicas": replicas, "isr": replicas})
    return {
        "apiVersion": "healthd/v1",
        "kind": "ClusterSnapshot",
        "cluster": "payments",
        "observedAt": "2026-01-01T00:00:00Z",
        "brokers": [
            {
                "id": node,
                "rack": f"az{node % 3}",
                "alive": True,
                "state": "running",
                "fenced": False,
                "roles": ["broker", "controller"] if node <= voters else ["broker"],
                "requestHandlerIdle": 0.83,
                "diskUsedRatio": 0.41,
                "offlineLogDirs": 0,
                "metricsAgeSeconds": 2.0,
            }
            for node in ids
        ],
        "quorum": {
            "mode": "kraft",
            "leaderId": 1,
            "fetchTimeoutMs": 2000,
            "absentSeconds": 0,
            "voters": [
                {"id": node, "lastCaughtUpMs": 10000, "logEndOffset": 512}
                for node in range(1, voters + 1)
            ],
        },
        "topics": [{"name": "orders", "minInsyncReplicas": min_isr, "partitions": rows}],
        "reassignments": 0,
        "uncleanElections24h": 0,
        "unreachable": False,
        "ages": {"metadata": 1.0, "configs": 4.0, "quorum": 1.0, "metrics": 2.0},
    }
