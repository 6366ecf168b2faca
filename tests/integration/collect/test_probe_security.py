"""The probe in every security mode against a real broker, and with credentials that are wrong."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.secure_kafka import SECRETS, USER, WRONG, SecureKafka

from healthd.collect.observation import FailureReason, Origin
from healthd.collect.probe import ProbeSource
from healthd.collect.side import SideContext, SideSeen
from healthd.collect.target import ClusterTarget
from healthd.config.fleet_file import load_fleet

pytestmark = [pytest.mark.prove, pytest.mark.xdist_group("probe_security")]

TLS = "protocol: SSL, caFile: DIR/fleet-CA.pem"
SASL = "protocol: SASL_SSL, caFile: DIR/fleet-CA.pem"
LOGIN = f"username: {USER}, passwordFile: DIR/password"
MODES = {
    "plaintext": ("BROKER", "protocol: PLAINTEXT"),
    "tls": ("TLS", TLS),
    "mutual-tls": ("MTLS", f"{TLS}, certFile: DIR/client.pem, keyFile: DIR/client.key"),
    "plain": ("PLAINTLS", f"{SASL}, saslMechanism: PLAIN, {LOGIN}"),
    "scram-sha-256": ("SCRAM256", f"{SASL}, saslMechanism: SCRAM-SHA-256, {LOGIN}"),
    "scram-sha-512": ("SCRAM512", f"{SASL}, saslMechanism: SCRAM-SHA-512, {LOGIN}"),
    "oauthbearer": (
        "OAUTH",
        (
            f"{SASL}, saslMechanism: OAUTHBEARER, oauth: {{tokenEndpointUrl: URL, "
            f"clientId: {USER}, scope: kafka, clientSecretFile: DIR/client-secret}}"
        ),
    ),
}
WITH_A_PASSWORD = ["plain", "scram-sha-256", "scram-sha-512", "oauthbearer"]


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    with SecureKafka(tmp_path_factory.mktemp("secure-kafka")) as found:
        yield found


async def probed(kafka: SecureKafka, folder: Path, listener: str, security: str) -> SideSeen:
    """Two rounds of the probe as a fleet file asks for it."""
    security = security.replace("DIR", str(kafka.folder)).replace("URL", kafka.tokens.token_url)
    file = folder / "fleet.yaml"
    file.write_text(
        "apiVersion: healthd/v1\nkind: Fleet\nclusters:\n  - name: secure\n"
        f"    bootstrapServers: ['{kafka.bootstrap(listener)}']\n"
        f"    security: {{{security}}}\n    probe: {{}}\n"
    )
    (config,) = load_fleet(file).clusters
    source = ProbeSource(ClusterTarget.of(config))
    try:
        for now in (0.0, 15.0):
            seen = await source.read(SideContext(now=now, wall=datetime.now(UTC)))
        return seen
    finally:
        await source.aclose()


@pytest.mark.parametrize(("listener", "security"), MODES.values(), ids=MODES)
async def test_every_mode_writes_and_reads_back(
    kafka: SecureKafka,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    listener: str,
    security: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    seen = await probed(kafka, tmp_path, listener, security)
    assert seen.failures == ()
    assert seen.probe is not None
    assert seen.probe.attempts == seen.probe.succeeded == 2
    assert not any(secret in caplog.text + repr(seen) for secret in SECRETS)


@pytest.mark.parametrize("mode", WITH_A_PASSWORD)
async def test_wrong_credentials_are_ours_and_no_attempt(
    kafka: SecureKafka, tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: str
) -> None:
    caplog.set_level(logging.DEBUG)
    listener, security = MODES[mode]
    wrong = security.replace("DIR/password", "DIR/wrong").replace("DIR/client-secret", "DIR/wrong")
    seen = await probed(kafka, tmp_path, listener, wrong)
    assert seen.probe is None
    (failure,) = seen.failures
    assert (failure.origin, failure.reason) == (Origin.OURS, FailureReason.AUTHENTICATION)
    assert WRONG not in caplog.text + repr(seen)
