"""OAUTHBEARER over time against a real broker: refreshed before expiry, the endpoint away, refused.

The broker ends a session with its token, so whoever does not get a new one in time is cut off.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator

import pytest
from support.secure_kafka import CLIENT_SECRET, USER, SecureKafka

from healthd.collect.access import Access
from healthd.collect.admin import MetadataClient
from healthd.collect.cluster import ClusterCollector
from healthd.collect.observation import FailureReason, MetadataSeen, Origin, SourceFailure
from healthd.collect.protocol import Collected
from healthd.collect.target import ClusterTarget
from healthd.config.fleet import SecurityConfig
from healthd.config.oauth import OAuthConfig
from healthd.config.secrets import SecretRef
from healthd.model.codes import CheckCode

pytestmark = [pytest.mark.xdist_group("secure_kafka"), pytest.mark.prove]

LIFE_SECONDS = 6.0
LIVES = 3


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    with SecureKafka(tmp_path_factory.mktemp("kafka"), token_seconds=LIFE_SECONDS) as found:
        yield found


@pytest.fixture
def target(kafka: SecureKafka) -> Iterator[ClusterTarget]:
    security = SecurityConfig(
        protocol="SASL_SSL",
        ca_file=kafka.authority.file,
        sasl_mechanism="OAUTHBEARER",
        oauth=OAuthConfig(
            token_endpoint_url=kafka.tokens.token_url,
            client_id=USER,
            client_secret=SecretRef(file=kafka.client_secret_file),
        ),
    )
    yield ClusterTarget(
        name="secure",
        bootstrap_servers=(kafka.bootstrap("OAUTH"),),
        access=Access.of(security),
        interval_seconds=4,
    )
    kafka.tokens.answer = None
    kafka.tokens.given.clear()


async def test_both_clients_outlive_their_tokens(kafka: SecureKafka, target: ClusterTarget) -> None:
    collector, other = ClusterCollector(target), MetadataClient(target)
    try:
        until = time.monotonic() + LIVES * LIFE_SECONDS
        while time.monotonic() < until:
            collected, seen = await asyncio.gather(
                collector.collect(), asyncio.to_thread(other.read, {})
            )
            assert collected.failures == ()
            assert isinstance(seen, MetadataSeen)
            await asyncio.sleep(0.2)
    finally:
        await collector.aclose()
        other.close()
    # A new one after three quarters of the life of the last, for all clients together.
    assert LIVES <= len(kafka.tokens.given) <= 2 * LIVES


async def test_while_the_endpoint_is_away_the_token_serves_and_afterwards_all_is_well_again(
    kafka: SecureKafka, target: ClusterTarget
) -> None:
    collector = ClusterCollector(target)
    try:
        assert (await collector.collect()).failures == ()
        kafka.tokens.answer = lambda: (503, b"{}")
        assert (await collector.collect()).failures == ()
        failed = await until_failed(collector)
        for failure in failed.failures:
            assert (failure.origin, failure.check) == (Origin.OURS, CheckCode.COLLECTOR_NETWORK)
            assert "answered 503" in failure.detail
        assert failed.snapshot.unreachable is False
        kafka.tokens.answer = None
        async with asyncio.timeout(30):
            while (await collector.collect()).failures:  # noqa: ASYNC110  # No event tells of it.
                await asyncio.sleep(0.5)
    finally:
        await collector.aclose()


async def until_failed(collector: ClusterCollector) -> Collected:
    """The first round in which nothing could be read any more."""
    async with asyncio.timeout(30):
        while True:
            collected = await collector.collect()
            if {failure.source.value for failure in collected.failures} == {"metadata", "quorum"}:
                return collected
            await asyncio.sleep(0.5)


@pytest.mark.parametrize("kind", ["garbage", "of a stranger", "that was over long ago"])
async def test_a_token_that_the_broker_refuses_is_our_credential(
    kafka: SecureKafka, target: ClusterTarget, kind: str
) -> None:
    token = {
        "garbage": "garbage",
        "of a stranger": f"{kafka.tokens.token(USER)[:-8]}AAAAAAAA",
        "that was over long ago": kafka.tokens.token(USER, lifetime_seconds=-1000),
    }[kind]
    body = json.dumps({"access_token": token, "expires_in": 60}).encode()
    kafka.tokens.answer = lambda: (200, body)
    collector, other = ClusterCollector(target), MetadataClient(target)
    try:
        collected, seen = await asyncio.gather(
            collector.collect(), asyncio.to_thread(other.read, {})
        )
    finally:
        await collector.aclose()
        other.close()
    assert {(one.origin, one.reason, one.check) for one in collected.failures} == {
        (Origin.OURS, FailureReason.AUTHENTICATION, CheckCode.COLLECTOR_AUTH)
    }
    assert all("refuse our token" in one.detail for one in collected.failures)
    assert isinstance(seen, SourceFailure)
    assert (seen.origin, seen.reason) == (Origin.OURS, FailureReason.AUTHENTICATION)
    shown = repr((collected, seen))
    assert token not in shown or kind == "garbage"
    assert CLIENT_SECRET not in shown
