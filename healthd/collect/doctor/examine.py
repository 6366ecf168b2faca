"""An examination of one cluster: one collection, and every door and every right tried by itself."""

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Final

from healthd.collect.cluster import ClusterCollector
from healthd.collect.doctor.asking import RightsSeen, rights_seen
from healthd.collect.doctor.doors import kafka_doors, ssh_doors
from healthd.collect.doctor.evidence import Evidence
from healthd.collect.doctor.findings import Examination
from healthd.collect.doctor.judge import findings
from healthd.collect.doctor.outside import outside_findings
from healthd.collect.doctor.secrets import secret_findings
from healthd.collect.failing import AccessError
from healthd.collect.observation import FailureReason, Origin, Source
from healthd.collect.principal import principal_of
from healthd.collect.protocol import Collected
from healthd.collect.side import SideSource
from healthd.collect.target import ClusterTarget
from healthd.collect.wire import WireClient, WireError
from healthd.config.fleet import ClusterConfig
from healthd.health.index import HealthReport, evaluate
from healthd.health.scoring import DEFAULT
from healthd.health.words import HealthClass, Term
from healthd.model.words import EvidenceGroup

COLLECT_SECONDS: Final = 45.0
"""For both rounds; a further source may take longer, and is then not known."""
BETWEEN_SECONDS: Final = 1.0
"""Between two rounds: some sources look at brokers that the first has found."""

_ALWAYS: Final = (Term.PARTITIONS, Term.BROKERS, Term.CONTROLLER)


async def examine(
    target: ClusterTarget,
    config: ClusterConfig | None = None,
    *,
    sides: Sequence[SideSource] = (),
    **collector: Any,
) -> Examination:
    """What healthd may and may not see of a cluster. Trouble outside is in the findings.

    Args:
        target: The cluster.
        config: Its part of the fleet file; None when it is in none.
        sides: Its further sources; they are closed afterwards. The probe is not read: an
            examination changes nothing in a cluster.
        collector: Further arguments of the collector.
    """
    probe_topic = None if config is None or config.probe is None else target.probe_topic
    target = replace(target, is_probed=False)
    sides = tuple(side for side in sides if side.source is not Source.PROBE)
    bootstrap = target.bootstrap_servers
    limit = target.attempt_seconds
    doors, rights, ssh, secrets, outside, collected = await asyncio.gather(
        kafka_doors(bootstrap, target.access, timeout_seconds=limit),
        _rights(target, probe_topic),
        _ssh(target, limit),
        secret_findings(config),
        outside_findings(config),
        _collected(target, sides, collector),
    )
    gathered, addresses = collected
    listeners = await kafka_doors(addresses.values(), target.access, timeout_seconds=limit)
    principal = await asyncio.to_thread(principal_of, target.access)
    scoring = DEFAULT if config is None else config.scoring
    report = None if gathered is None else evaluate(gathered.snapshot, scoring)
    evidence = Evidence(
        bootstrap=doors,
        listeners={node: listeners[address] for node, address in addresses.items()},
        ssh=ssh,
        rights=rights,
        principal=principal,
        snapshot=None if gathered is None else gathered.snapshot,
        failures=() if gathered is None else gathered.failures,
        exporters=target.exporter_urls,
        has_prometheus=config is not None and config.prometheus is not None,
        probe_topic=probe_topic,
        drives_waves=config is not None and config.ssh is not None and config.service is not None,
        sources=frozenset(
            {side.source for side in sides}
            | ({Source.ZOOKEEPER} if config is not None and config.zookeeper is not None else set())
        ),
    )
    return Examination(
        cluster=target.name,
        bootstrap=bootstrap[0],
        principal=principal,
        authorizer=rights.authorizer,
        health_class=HealthClass.UNKNOWN.value if report is None else report.health_class.value,
        completeness=0.0 if report is None else report.completeness,
        weights=_weights(gathered, report, is_probed=probe_topic is not None),
        findings=(*secrets, *findings(evidence), *outside),
        cluster_id=None if gathered is None else gathered.cluster_id,
        addresses={} if gathered is None else gathered.addresses,
    )


async def _rights(target: ClusterTarget, probe_topic: str | None) -> RightsSeen:
    """On a thread and a connection of its own: nothing that the collector does waits for it."""
    thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"healthd-doctor-{target.name}")
    client = WireClient(target)

    def work() -> RightsSeen:
        try:
            target.access.ready()
            return rights_seen(
                client, probe_topic=probe_topic, limit_seconds=target.attempt_seconds
            )
        except AccessError as error:
            return RightsSeen(connection=WireError(error.reason, Origin.OURS, error.detail))
        finally:
            client.close()

    try:
        async with asyncio.timeout(COLLECT_SECONDS):
            return await asyncio.get_running_loop().run_in_executor(thread, work)
    except TimeoutError:
        late = f"its requests were not all answered in {COLLECT_SECONDS:g} s"
        return RightsSeen(connection=WireError(FailureReason.TIMEOUT, Origin.OURS, late))
    finally:
        thread.shutdown(wait=False)


async def _ssh(target: ClusterTarget, limit: float) -> dict[int, Any]:
    return await ssh_doors(target.ssh_doors, timeout_seconds=limit)


async def _collected(
    target: ClusterTarget, sides: Sequence[SideSource], more: Mapping[str, Any]
) -> tuple[Collected | None, dict[int, str]]:
    """What two rounds gave, and where the brokers say that they listen."""
    collector = ClusterCollector(target, sides=sides, settle=True, **more)
    gathered: Collected | None = None
    try:
        async with asyncio.timeout(COLLECT_SECONDS):
            gathered = await collector.collect()
            await asyncio.sleep(BETWEEN_SECONDS)
            gathered = await collector.collect()
    except TimeoutError:
        pass
    finally:
        await collector.aclose()
    return gathered, collector.listeners


def _weights(
    gathered: Collected | None, report: HealthReport | None, *, is_probed: bool
) -> dict[Term, float]:
    """The weights of the terms that are configured, as far as that is known."""
    ages = (None if gathered is None else gathered.snapshot.ages) or {}
    terms = [*_ALWAYS]
    if EvidenceGroup.METRICS in ages:
        terms += [Term.SATURATION, Term.STORAGE]
    if is_probed:
        terms.append(Term.PROBE)
    weights = (DEFAULT if report is None else report.profile).weights
    return {term: weights.of(term) for term in terms}
