"""Every security mode against a real broker: what gets in, and whose fault it is when it does not.

One broker has a listener for each mode, so the whole matrix needs one JVM.
"""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from support.kafka_cluster import free_port
from support.secure_kafka import SECRETS, USER, WRONG, SecureKafka

from healthd.collect.access import Access
from healthd.collect.admin import MetadataClient
from healthd.collect.cluster import ClusterCollector
from healthd.collect.direct import snapshot_of_cluster
from healthd.collect.observation import FailureReason, MetadataSeen, Origin, SourceFailure
from healthd.collect.protocol import Collected
from healthd.collect.target import ClusterTarget
from healthd.config.fleet import ClusterConfig
from healthd.config.fleet_file import load_fleet
from healthd.execute.leaders import KafkaLeaderElector
from healthd.health.index import evaluate
from healthd.model.codes import CheckCode
from healthd.model.snapshot import ClusterSnapshot

pytestmark = [pytest.mark.xdist_group("secure_kafka")]


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    with SecureKafka(tmp_path_factory.mktemp("secure-kafka")) as found:
        client = AdminClient({"bootstrap.servers": found.bootstrap("BROKER")})
        client.create_topics([NewTopic("orders", 3, 1)])["orders"].result(30)
        yield found


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """A listener and what the fleet file says of it; `DIR` stands for the folder of files."""

    name: str
    listener: str
    security: str


TLS = "protocol: SSL, caFile: DIR/fleet-CA.pem"
MTLS = f"{TLS}, certFile: DIR/client.pem"
SASL = "protocol: SASL_SSL, caFile: DIR/fleet-CA.pem"
LOGIN = f"username: {USER}, passwordFile: DIR/password"
TOKEN = (
    f"saslMechanism: OAUTHBEARER, oauth: {{tokenEndpointUrl: URL, clientId: {USER}, scope: kafka, "
    "clientSecretFile: DIR/client-secret}"
)
MODES = [
    Mode(name="plaintext", listener="BROKER", security="protocol: PLAINTEXT"),
    Mode(name="tls", listener="TLS", security=TLS),
    Mode(name="mutual tls", listener="MTLS", security=f"{MTLS}, keyFile: DIR/client.key"),
    Mode(
        name="mutual tls with a locked key",
        listener="MTLS",
        security=f"{MTLS}, keyFile: DIR/locked.key, keyPasswordFile: DIR/key-password",
    ),
    Mode(
        name="plain in clear",
        listener="PLAIN",
        security=f"protocol: SASL_PLAINTEXT, saslMechanism: PLAIN, {LOGIN}",
    ),
    Mode(name="plain", listener="PLAINTLS", security=f"{SASL}, saslMechanism: PLAIN, {LOGIN}"),
    Mode(
        name="scram-sha-256",
        listener="SCRAM256",
        security=f"{SASL}, saslMechanism: SCRAM-SHA-256, {LOGIN}",
    ),
    Mode(
        name="scram-sha-512",
        listener="SCRAM512",
        security=f"{SASL}, saslMechanism: SCRAM-SHA-512, {LOGIN}",
    ),
    Mode(
        name="scram-sha-512 by command",
        listener="SCRAM512",
        security=f"{SASL}, saslMechanism: SCRAM-SHA-512, username: {USER}, "
        "passwordCommand: [cat, DIR/password]",
    ),
    Mode(name="oauthbearer", listener="OAUTH", security=f"{SASL}, {TOKEN}"),
]
SAMPLE = {"mutual tls with a locked key", "scram-sha-512", "oauthbearer"}
"""What `make test` looks at; `make prove` looks at all."""

ConfigOf = Callable[[Mode], ClusterConfig]


@pytest.fixture
def config_of(kafka: SecureKafka, tmp_path: Path) -> ConfigOf:
    """The cluster that a fleet file describes, so that the whole way from the file is gone."""

    def read(mode: Mode) -> ClusterConfig:
        security = mode.security.replace("DIR", str(kafka.folder))
        security = security.replace("URL", kafka.tokens.token_url)
        file = tmp_path / "fleet.yaml"
        file.write_text(
            "apiVersion: healthd/v1\nkind: Fleet\nclusters:\n  - name: secure\n"
            f"    bootstrapServers: ['{kafka.bootstrap(mode.listener)}']\n"
            f"    security: {{{security}}}\n"
        )
        (cluster,) = load_fleet(file).clusters
        return cluster

    return read


def sampled(modes: list[Mode]) -> list[object]:
    return [
        pytest.param(mode, id=mode.name, marks=[] if mode.name in SAMPLE else pytest.mark.prove)
        for mode in modes
    ]


@pytest.mark.parametrize("mode", sampled(MODES))
async def test_every_mode_gives_a_whole_snapshot(
    mode: Mode, kafka: SecureKafka, config_of: ConfigOf, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    config = config_of(mode)
    collector = ClusterCollector(ClusterTarget.of(config, interval_seconds=10))
    collected = await collector.collect()
    await collector.aclose()
    assert collected.failures == ()
    assert_whole(collected.snapshot)
    assert_whole(await snapshot_of_cluster(config))
    assert_no_secret(caplog, collected, config)


@pytest.mark.parametrize("mode", sampled(MODES))
async def test_librdkafka_gets_in_too(mode: Mode, kafka: SecureKafka, config_of: ConfigOf) -> None:
    config = config_of(mode)
    client = MetadataClient(ClusterTarget.of(config))
    seen = await asyncio.to_thread(client.read, {})
    client.close()
    assert isinstance(seen, MetadataSeen)
    assert seen.brokers.keys() == {1}
    elector = KafkaLeaderElector(
        lambda: {
            "bootstrap.servers": ",".join(config.bootstrap_servers),
            **Access.of(config.security).confluent_config(),
        }
    )
    try:
        (told,) = await elector.elect_preferred([("no-such-topic", 0)], timeout_seconds=15)
    finally:
        elector.close()
    # The cluster has answered, and knows of no such topic.
    assert told == "no-such-topic-0: No such topic as no-such-topic"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """A way not to get in."""

    name: str
    listener: str
    security: str
    reason: FailureReason
    says: str
    """What an operator reads."""
    origin: Origin = Origin.OURS
    check: CheckCode | None = CheckCode.COLLECTOR_AUTH


def wrong(text: str) -> str:
    return text.replace("DIR/password", "DIR/wrong").replace("DIR/client-secret", "DIR/wrong")


def of(name: str) -> Mode:
    return next(mode for mode in MODES if mode.name == name)


TROUBLES = [
    Trouble(
        name="an authority that we do not know",
        listener="TLS",
        security="protocol: SSL, caFile: DIR/other-CA.pem",
        reason=FailureReason.TLS,
        says="not trusted",
    ),
    Trouble(
        name="a server certificate that has expired",
        listener="EXPIRED",
        security=TLS,
        reason=FailureReason.TLS,
        origin=Origin.THEIRS,
        check=None,
        says="the server's certificate has expired",
    ),
    Trouble(
        name="no client certificate",
        listener="MTLS",
        security=TLS,
        reason=FailureReason.AUTHENTICATION,
        says="add certFile and keyFile",
    ),
    Trouble(
        name="a client certificate that has expired",
        listener="MTLS",
        security=f"{TLS}, certFile: DIR/expired-client.pem, keyFile: DIR/expired-client.key",
        reason=FailureReason.AUTHENTICATION,
        says="expired-client.pem expired on ",
    ),
    Trouble(
        name="a client certificate of somebody else",
        listener="MTLS",
        security=f"{TLS}, certFile: DIR/foreign-client.pem, keyFile: DIR/foreign-client.key",
        reason=FailureReason.AUTHENTICATION,
        says="refuse our client certificate",
    ),
    Trouble(
        name="a wrong password of the key",
        listener="MTLS",
        security=f"{MTLS}, keyFile: DIR/locked.key, keyPasswordFile: DIR/wrong",
        reason=FailureReason.TLS,
        says="keyFile the key password",
    ),
    Trouble(
        name="a locked key without a password",
        listener="MTLS",
        security=f"{MTLS}, keyFile: DIR/locked.key",
        reason=FailureReason.TLS,
        says="certFile",
    ),
    *(
        Trouble(
            name=f"a wrong password with {name}",
            listener=of(name).listener,
            security=wrong(of(name).security),
            reason=FailureReason.AUTHENTICATION,
            says=f"the brokers refuse user {USER} (Authentication failed",
        )
        for name in ("plain in clear", "plain", "scram-sha-256", "scram-sha-512")
    ),
    *(
        Trouble(
            name=f"an unknown user with {name}",
            listener=of(name).listener,
            security=of(name).security.replace(f"username: {USER}", "username: nobody"),
            reason=FailureReason.AUTHENTICATION,
            says="the brokers refuse user nobody (Authentication failed",
        )
        for name in ("plain", "scram-sha-512")
    ),
    Trouble(
        name="a mechanism that the listener does not have",
        listener="SCRAM256",
        security=of("plain").security,
        reason=FailureReason.AUTHENTICATION,
        says="the listener does not offer PLAIN: check saslMechanism",
    ),
    Trouble(
        name="a wrong client secret",
        listener="OAUTH",
        security=wrong(of("oauthbearer").security),
        reason=FailureReason.AUTHENTICATION,
        says="answered 401 (invalid_client)",
    ),
    Trouble(
        name="a token endpoint that is away",
        listener="OAUTH",
        security=of("oauthbearer").security.replace("URL", "http://127.0.0.1:NOBODY/token"),
        reason=FailureReason.NETWORK,
        check=CheckCode.COLLECTOR_NETWORK,
        says="cannot be reached",
    ),
    Trouble(
        name="TLS where none is spoken",
        listener="BROKER",
        security=TLS,
        reason=FailureReason.TLS,
        says="check protocol",
    ),
    Trouble(
        name="no TLS where it is wanted",
        listener="TLS",
        security="protocol: PLAINTEXT",
        reason=FailureReason.NETWORK,
        check=CheckCode.COLLECTOR_NETWORK,
        says="check protocol",
    ),
    Trouble(
        name="no SASL where it is wanted",
        listener="PLAIN",
        security="protocol: PLAINTEXT",
        reason=FailureReason.NETWORK,
        check=CheckCode.COLLECTOR_NETWORK,
        says="check protocol",
    ),
]
TROUBLE_SAMPLE = {
    "a server certificate that has expired",
    "a client certificate that has expired",
    "a wrong password with scram-sha-512",
    "a wrong client secret",
}


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(
            trouble,
            id=trouble.name,
            marks=[] if trouble.name in TROUBLE_SAMPLE else pytest.mark.prove,
        )
        for trouble in TROUBLES
    ],
)
async def test_not_getting_in_has_the_right_reason(
    trouble: Trouble, kafka: SecureKafka, config_of: ConfigOf, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    security = trouble.security.replace("NOBODY", str(free_port()))
    config = config_of(Mode(name=trouble.name, listener=trouble.listener, security=security))
    known = await known_snapshot(kafka)
    collected = await rounds(config, known, 3)
    assert {
        (failure.source.value, failure.origin, failure.reason, failure.check)
        for failure in collected.failures
        if failure.source.value == "metadata"
    } == {("metadata", trouble.origin, trouble.reason, trouble.check)}
    assert any(trouble.says in failure.detail for failure in collected.failures), collected.failures
    # What was known of the cluster stays; nothing bad is said of it.
    assert collected.snapshot.unreachable is False
    assert [broker.id for broker in collected.snapshot.brokers if broker.alive] == [1]
    codes = {check.code for check in evaluate(collected.snapshot).checks}
    assert not codes & {CheckCode.BROKER_DOWN, CheckCode.UNREACHABLE}
    assert_no_secret(caplog, collected, config)


@pytest.mark.prove
@pytest.mark.parametrize(
    ("listeners", "security"),
    [
        pytest.param(("EXPIRED", "TLS"), TLS, id="an expired certificate"),
        pytest.param(("SCRAM256", "PLAINTLS"), of("plain").security, id="another mechanism"),
    ],
)
async def test_one_listener_that_does_not_let_us_in_is_passed_over(
    kafka: SecureKafka, config_of: ConfigOf, listeners: tuple[str, str], security: str
) -> None:
    bad, good = listeners
    config = config_of(Mode(name="both", listener=good, security=security))
    servers = (kafka.bootstrap(bad), *config.bootstrap_servers)
    for _ in range(4):
        assert_whole(await snapshot_of_cluster(replace(config, bootstrap_servers=servers)))


@pytest.mark.prove
async def test_a_certificate_that_was_renewed_on_disk_counts_in_the_next_round(
    kafka: SecureKafka, config_of: ConfigOf
) -> None:
    def renew(name: str) -> None:
        for kind in ("pem", "key"):
            shutil.copy(kafka.folder / f"{name}.{kind}", kafka.folder / f"own.{kind}")

    renew("expired-client")
    security = f"{TLS}, certFile: DIR/own.pem, keyFile: DIR/own.key"
    config = config_of(Mode(name="own", listener="MTLS", security=security))
    collector = ClusterCollector(ClusterTarget.of(config, interval_seconds=4))
    try:
        assert (await collector.collect()).failures
        renew("client")
        collected = await collector.collect()
    finally:
        await collector.aclose()
    assert collected.failures == ()
    assert_whole(collected.snapshot)


@pytest.mark.prove
async def test_a_password_that_was_changed_in_its_file_counts_in_the_next_round(
    kafka: SecureKafka, config_of: ConfigOf
) -> None:
    file = kafka.secret("rotated", WRONG)
    mode = of("scram-sha-512")
    config = config_of(replace(mode, security=mode.security.replace("DIR/password", "DIR/rotated")))
    target = ClusterTarget.of(config, interval_seconds=4)
    collector, other = ClusterCollector(target), MetadataClient(target)
    try:
        assert (await collector.collect()).failures
        assert isinstance(await asyncio.to_thread(other.read, {}), SourceFailure)
        file.write_text(kafka.password_file.read_text())
        collected, seen = await asyncio.gather(
            collector.collect(), asyncio.to_thread(other.read, {})
        )
        file.unlink()
        assert (await collector.collect()).failures == (), "connections stay"
    finally:
        await collector.aclose()
        other.close()
    assert collected.failures == ()
    assert isinstance(seen, MetadataSeen)


@pytest.mark.prove
async def test_a_wrong_password_is_tried_once_by_each_client_in_a_round(
    kafka: SecureKafka, config_of: ConfigOf
) -> None:
    config = config_of(replace(of("scram-sha-512"), security=wrong(of("scram-sha-512").security)))
    before = kafka.cluster.logs.count("Failed authentication with")
    await rounds(config, await known_snapshot(kafka), 3)
    tried = kafka.cluster.logs.count("Failed authentication with") - before
    # Metadata, and everything else: two clients, whatever librdkafka would have done.
    assert 1 <= tried <= 2 * 3


async def known_snapshot(kafka: SecureKafka) -> ClusterSnapshot:
    target = ClusterTarget(
        name="secure", bootstrap_servers=(kafka.bootstrap("BROKER"),), interval_seconds=10
    )
    collector = ClusterCollector(target)
    try:
        return (await collector.collect()).snapshot
    finally:
        await collector.aclose()


async def rounds(config: ClusterConfig, known: ClusterSnapshot, count: int) -> Collected:
    target = ClusterTarget.of(config, interval_seconds=1.0, request_timeout_seconds=1.0)
    collector = ClusterCollector(target, known=known)
    try:
        for _ in range(count - 1):
            await collector.collect()
        return await collector.collect()
    finally:
        await collector.aclose()


def assert_whole(snapshot: ClusterSnapshot) -> None:
    assert [broker.id for broker in snapshot.brokers if broker.alive] == [1]
    assert snapshot.quorum is not None
    assert snapshot.quorum.leader_id == 1
    assert {topic.name: topic.min_insync_replicas for topic in snapshot.topics} == {"orders": 1}
    report = evaluate(snapshot)
    assert report.completeness == 1.0
    assert report.health_index == 100.0


def assert_no_secret(
    caplog: pytest.LogCaptureFixture, collected: Collected, config: ClusterConfig
) -> None:
    target = ClusterTarget.of(config) if "locked" not in repr(config) else config
    texts = [
        caplog.text,
        repr(collected),
        repr(config),
        repr(target),
        json.dumps([failure.as_json() for failure in collected.failures]),
    ]
    for secret in (*SECRETS, WRONG):
        assert not any(secret in text for text in texts)
