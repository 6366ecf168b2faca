"""A Prometheus server in every kind of trouble, and one round for a whole fleet: real HTTP."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from aiohttp import web

from healthd.collect.observation import FailureReason, Origin, SourceFailure
from healthd.collect.page import Pages
from healthd.collect.prometheus_pages import PrometheusPages, PrometheusReaders
from healthd.collect.promql import QUERIES
from healthd.collect.target import ClusterTarget, NodeTarget
from healthd.config.fleet_file import load_fleet
from healthd.config.secrets import SecretRef
from healthd.config.source_prometheus import PrometheusServer, PrometheusUse
from healthd.config.source_rest import RestConfig
from healthd.model.words import BrokerState

NOW = 1_750_000_000.0
STATE = "kafka_server_kafkaserver_brokerstate"
IDLE = "kafka_server_kafkarequesthandlerpool_requesthandleravgidle_nanoseconds_total"

NO_VALUES: Mapping[str, str] = MappingProxyType({})
RUNNING = {STATE: "3"}


def broker(node: int, cluster: str = "payments", **more: str) -> dict[str, str]:
    """The labels of one target."""
    return {
        "job": "kafka",
        "instance": f"b{node}:9404",
        "kafka_cluster": cluster,
        "broker_id": str(node),
        **more,
    }


@dataclass(slots=True)
class FakeApi:
    """Answers queries from a list of samples; named after what it stands in for."""

    up: list[tuple[dict[str, str], float, float]] = field(default_factory=list)
    """Labels, value, and how many seconds ago it was scraped."""
    samples: list[tuple[str, dict[str, str], str, float]] = field(default_factory=list)
    now: float = NOW
    queries: list[str] = field(default_factory=list)
    times: list[str | None] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    instead: Callable[[str], Awaitable[web.StreamResponse | None]] | None = None
    warnings: dict[str, str] = field(default_factory=dict)
    """By what the query must have in it."""
    url: str = ""

    def add(
        self,
        target: dict[str, str],
        values: Mapping[str, str] = NO_VALUES,
        *,
        up: float = 1,
        age: float = 3,
    ) -> None:
        """A target with the samples of its page."""
        self.up.append((target, up, age))
        for name, value in values.items():
            self.samples.append((name, target, value, age))

    async def answer(self, request: web.Request) -> web.StreamResponse:
        form = await request.post()
        query = str(form["query"])
        self.queries.append(query)
        self.times.append(str(form["time"]) if "time" in form else None)
        self.headers.append(dict(request.headers))
        if self.instead is not None:
            other = await self.instead(query)
            if other is not None:
                return other
        names = set(re.findall(r"timestamp\((\w+)\{", query))
        rows: list[Any] = []
        for labels, value, age in self.up if "up" in names else ():
            rows += self._rows("up", labels, str(value), age)
        for name, labels, text, age in self.samples:
            if name in names:
                rows += self._rows(name, labels, text, age)
        answer: dict[str, Any] = {
            "status": "success",
            "data": {"resultType": "vector", "result": rows},
        }
        told = [words for part, words in self.warnings.items() if part in query]
        if told:
            answer["warnings"] = told
        return web.json_response(answer)

    def _rows(self, name: str, labels: dict[str, str], value: str, age: float) -> Iterable[Any]:
        yield {"metric": {"__name__": name, **labels}, "value": [self.now, value]}
        yield {
            "metric": {**labels, "healthd_sample": "time"},
            "value": [self.now, str(self.now - age)],
        }


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    fake = FakeApi()
    app = web.Application()
    app.router.add_post("/api/v1/query", fake.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    fake.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield fake
    await runner.cleanup()


@dataclass(slots=True)
class Clock:
    """Monotonic seconds that move when they are told."""

    now: float = 5_000.0

    def __call__(self) -> float:
        return self.now


def target(
    url: str,
    *,
    name: str = "payments",
    nodes: tuple[int, ...] = (1,),
    label: str | None = "broker_id",
    wait_seconds: float = 2.0,
    **server: Any,
) -> ClusterTarget:
    use = PrometheusUse(
        server=PrometheusServer(name="eu", rest=RestConfig(urls=(url,)), **server),
        matchers=MappingProxyType({"kafka_cluster": name} if label else {}),
        node_label=label,
    )
    return ClusterTarget(
        name=name,
        bootstrap_servers=("b1:9092",),
        nodes={
            node: NodeTarget(id=node, instance=None if label else f"b{node}:9404") for node in nodes
        },
        prometheus=use,
        request_timeout_seconds=wait_seconds,
    )


def pages_of(
    found: ClusterTarget,
    readers: PrometheusReaders | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> PrometheusPages:
    assert found.prometheus is not None
    return (readers or PrometheusReaders(clock)).pages_of(found, found.prometheus)


async def read(found: ClusterTarget) -> Pages:
    pages = pages_of(found)
    try:
        return await pages.read()
    finally:
        await pages.close()


async def failure(found: ClusterTarget) -> SourceFailure:
    """The one failure of a round that gave no page."""
    pages = await read(found)
    assert not pages.seen, "missing is unknown, never a value"
    (only,) = pages.failures
    assert only.origin is Origin.OURS
    assert only.check is None, "our monitoring says nothing of our way to the cluster"
    assert only.detail.startswith("Prometheus eu at http")
    return only


class TestOneRound:
    async def test_one_query_a_signal_serves_every_cluster(self, api: FakeApi) -> None:
        names = [f"c{number}" for number in range(20)]
        for name in names:
            api.add(broker(1, name), RUNNING)
        readers = PrometheusReaders()
        clusters = [pages_of(target(api.url, name=name), readers) for name in names]
        found = await asyncio.gather(*(pages.read() for pages in clusters))
        assert all(list(pages.seen) == [1] and not pages.failures for pages in found)
        assert len(api.queries) == len(QUERIES) + 1
        for pages in clusters:
            await pages.close()

    async def test_who_asks_a_little_later_gets_the_same_round_and_then_a_new_one(
        self, api: FakeApi
    ) -> None:
        api.add(broker(1), RUNNING)
        clock = Clock()
        pages = pages_of(target(api.url), clock=clock)
        for now, rounds in ((0.0, 1), (7.0, 1), (8.0, 2)):
            clock.now = 5_000 + now
            await pages.read()
            assert len(api.queries) == rounds * (len(QUERIES) + 1)
        await pages.close()

    async def test_a_cluster_that_joins_has_its_own_first_round(self, api: FakeApi) -> None:
        api.add(broker(1), RUNNING)
        api.add(broker(1, "late"), RUNNING)
        readers = PrometheusReaders()
        first = pages_of(target(api.url), readers)
        await first.read()
        late = pages_of(target(api.url, name="late"), readers)
        assert list((await late.read()).seen) == [1]
        await late.close()
        await first.close()

    async def test_a_cluster_that_was_configured_anew_is_asked_for_anew(self, api: FakeApi) -> None:
        api.add(broker(1), RUNNING)
        readers = PrometheusReaders()
        before = pages_of(target(api.url), readers)
        await before.read()
        after = pages_of(target(api.url, nodes=(1, 2)), readers)
        await before.close()
        assert [one.node for one in (await after.read()).failures] == [2]
        assert len(api.queries) == 2 * (len(QUERIES) + 1)
        await after.close()

    async def test_all_queries_are_of_one_moment_of_the_server(self, api: FakeApi) -> None:
        api.add(broker(1), RUNNING)
        await read(target(api.url))
        assert api.times[0] is None
        assert set(api.times[1:]) == {f"{NOW:.3f}"}

    async def test_only_targets_of_the_fleet_are_asked_for(self, api: FakeApi) -> None:
        readers = PrometheusReaders()
        clusters = [pages_of(target(api.url, name=name), readers) for name in ("pay.ments", 'a"b')]
        await clusters[0].read()
        assert r'{__name__=~"up",kafka_cluster=~"a\"b|pay\\.ments"}' in api.queries[0]
        by_instance = pages_of(target(api.url, label=None, nodes=(1, 2)))
        await by_instance.read()
        assert r'instance=~"b1:9404|b2:9404"' in api.queries[-1]
        for pages in (*clusters, by_instance):
            await pages.close()

    async def test_a_server_that_hangs_keeps_a_cluster_no_longer_than_an_exporter_would(
        self, api: FakeApi
    ) -> None:
        done = asyncio.Event()

        async def hangs(_query: str) -> None:
            await done.wait()

        api.instead = hangs
        api.add(broker(1), RUNNING)
        readers = PrometheusReaders()
        hasty = pages_of(target(api.url, wait_seconds=0.05), readers)
        patient = pages_of(target(api.url, name="other", nodes=()), readers)
        waiting = asyncio.create_task(patient.read())
        (only,) = (await hasty.read()).failures
        assert (only.reason, only.origin) == (FailureReason.TIMEOUT, Origin.OURS)
        # The round goes on, and whoever asks later has it.
        done.set()
        assert not (await waiting).failures
        found = await hasty.read()
        assert list(found.seen) == [1]
        assert len(api.queries) == len(QUERIES) + 1
        await hasty.close()
        await patient.close()

    async def test_closing_in_the_middle_of_a_round_leaves_nothing(self, api: FakeApi) -> None:
        async def hangs(_query: str) -> None:
            await asyncio.sleep(3600)

        api.instead = hangs
        before = asyncio.all_tasks()
        pages = pages_of(target(api.url, wait_seconds=0.01))
        await pages.read()
        await pages.close()
        await pages.close()
        assert not [
            task for task in asyncio.all_tasks() - before if task.get_name().startswith("ask ")
        ]


class TestTime:
    async def test_a_page_is_as_old_as_its_oldest_sample(self, api: FakeApi) -> None:
        api.add(broker(1), RUNNING, age=3)
        api.samples.append((IDLE, broker(1), "5e9", 130))
        clock = Clock()
        pages = pages_of(target(api.url), clock=clock)
        found = await pages.read()
        await pages.close()
        assert found.seen[1].at == clock.now - 130

    async def test_rates_are_over_the_times_of_the_samples(self, api: FakeApi) -> None:
        api.add(broker(1), {STATE: "3", IDLE: "5e9"}, age=3)
        clock = Clock()
        pages = pages_of(target(api.url), clock=clock)
        first = (await pages.read()).seen[1]
        # 15 s later by our clock, 15.4 s by the server's: the network was slow at first.
        clock.now += 15
        api.now += 15.4
        second = (await pages.read()).seen[1]
        await pages.close()
        assert second.at - first.at == pytest.approx(15.4, abs=1e-6)

    @pytest.mark.parametrize("jump", [3600.0, -3600.0])
    async def test_a_clock_that_jumps_makes_nothing_fresh_and_nothing_old(
        self, api: FakeApi, jump: float
    ) -> None:
        api.add(broker(1), RUNNING, age=3)
        clock = Clock()
        pages = pages_of(target(api.url), clock=clock)
        await pages.read()
        clock.now += 15
        api.now += 15 + jump
        found = await pages.read()
        await pages.close()
        assert found.seen[1].at == clock.now - 3

    async def test_the_same_sample_is_no_news(self, api: FakeApi) -> None:
        api.add(broker(1), RUNNING, age=3)
        clock = Clock()
        pages = pages_of(target(api.url), clock=clock)
        assert (await pages.read()).seen
        clock.now += 10
        api.now += 10
        api.up = [(labels, value, 13) for labels, value, _ in api.up]
        api.samples = [(name, labels, value, 13) for name, labels, value, _ in api.samples]
        assert not (await pages.read()).seen
        await pages.close()


class TestNodes:
    async def test_by_instance(self, api: FakeApi) -> None:
        api.add(broker(1), RUNNING)
        api.add(broker(2), {STATE: "2"})
        found = await read(target(api.url, label=None, nodes=(1, 2)))
        assert {node: page.signals.state for node, page in found.seen.items()} == {
            1: BrokerState.RUNNING,
            2: BrokerState.RECOVERY,
        }

    async def test_another_job_on_the_same_host_does_no_harm(self, api: FakeApi) -> None:
        api.add(broker(1), RUNNING)
        api.add(broker(1, job="node", instance="b1:9100"), {"jvm_info": "1"})
        found = await read(target(api.url))
        assert found.seen[1].signals.state is BrokerState.RUNNING
        assert not found.failures

    async def test_a_node_whose_exporter_is_down_is_unknown_though_its_host_is_up(
        self, api: FakeApi
    ) -> None:
        api.add(broker(1), RUNNING, up=0)
        api.add(broker(1, job="node", instance="b1:9100"))
        found = await read(target(api.url))
        assert not found.seen
        assert [one.reason for one in found.failures] == [FailureReason.TARGET_DOWN]
        assert found.up == {1: True}

    async def test_two_targets_that_could_be_it_are_ambiguous(self, api: FakeApi) -> None:
        api.add(broker(1, replica="a"), RUNNING)
        api.add(broker(1, replica="b"), {STATE: "2"})
        found = await read(target(api.url))
        assert not found.seen
        (only,) = found.failures
        assert (only.reason, only.node) == (FailureReason.AMBIGUOUS, 1)
        assert "add a matcher" in only.detail

    async def test_other_clusters_and_odd_node_labels_are_left_out(self, api: FakeApi) -> None:
        api.add(broker(1), RUNNING)
        api.add(broker(1, "other"), {STATE: "2"})
        api.add(broker(2) | {"broker_id": "b2"}, {STATE: "2"})
        api.add(broker(3) | {"broker_id": "99999999999999999999999"}, {STATE: "2"})
        found = await read(target(api.url))
        assert list(found.seen) == [1]
        assert found.seen[1].signals.state is BrokerState.RUNNING

    async def test_what_up_said_long_ago_says_nothing_of_now(self, api: FakeApi) -> None:
        api.add(broker(1), RUNNING, age=31)
        assert (await read(target(api.url))).up == {}

    @pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf"])
    async def test_values_that_are_no_numbers_make_no_page(self, api: FakeApi, value: str) -> None:
        api.add(broker(1), {STATE: "3", IDLE: value})
        found = await read(target(api.url))
        assert not found.seen
        (only,) = found.failures
        assert (only.reason, only.node) == (FailureReason.NOT_FINITE, 1)
        assert IDLE in only.detail


class TestUnknown:
    async def test_no_up_at_all(self, api: FakeApi) -> None:
        found = await read(target(api.url, nodes=(1, 2)))
        assert not found.seen
        assert [(one.node, one.reason) for one in found.failures] == [
            (1, FailureReason.NO_DATA),
            (2, FailureReason.NO_DATA),
        ]

    async def test_samples_without_up_are_not_believed(self, api: FakeApi) -> None:
        api.samples.append((STATE, broker(1), "3", 3))
        api.add(broker(2), RUNNING)
        found = await read(target(api.url, nodes=(1, 2)))
        assert list(found.seen) == [2]

    async def test_one_query_that_fails_makes_no_page_of_the_rest(self, api: FakeApi) -> None:
        async def refuses_idle(query: str) -> web.Response | None:
            if IDLE not in query:
                return None
            body = {"status": "error", "errorType": "execution", "error": "too many\nsamples"}
            return web.json_response(body, status=422)

        api.instead = refuses_idle
        api.add(broker(1), {STATE: "3", IDLE: "5e9"})
        only = await failure(target(api.url))
        assert only.reason is FailureReason.QUERY_FAILED
        assert "execution: too many samples (asked for idle)" in only.detail

    async def test_a_warning_is_told_and_what_is_there_counts(self, api: FakeApi) -> None:
        api.warnings = {STATE: "store b is not reachable"}
        api.add(broker(1), {STATE: "3", IDLE: "5e9"})
        found = await read(target(api.url))
        assert list(found.seen) == [1]
        (only,) = found.failures
        assert (only.reason, only.node) == (FailureReason.PARTIAL, None)
        assert "store b is not reachable; what is missing is unknown" in only.detail

    async def test_a_part_that_lacks_what_was_there_before_is_no_page(self, api: FakeApi) -> None:
        api.add(broker(1), {STATE: "3", IDLE: "5e9"})
        clock = Clock()
        pages = pages_of(target(api.url), clock=clock)
        assert (await pages.read()).seen
        clock.now += 15
        api.now += 15
        api.samples = [row for row in api.samples if row[0] != IDLE]
        api.warnings = {IDLE: "store b is not reachable"}
        found = await pages.read()
        assert not found.seen
        assert [one.reason for one in found.failures] == [FailureReason.PARTIAL]
        # Without a warning it is what the exporter says now.
        clock.now += 15
        api.now += 15
        api.warnings = {}
        assert (await pages.read()).seen[1].signals.idle_nanoseconds is None
        await pages.close()

    async def test_a_part_that_lacks_a_whole_node_does_not_accuse_anybody(
        self, api: FakeApi
    ) -> None:
        api.warnings = {'"up"': "store b is not reachable"}
        only = await failure(target(api.url))
        assert only.reason is FailureReason.PARTIAL


async def test_a_cluster_of_the_fleet_file_is_read_from_its_server(
    api: FakeApi, tmp_path: Path
) -> None:
    file = tmp_path / "fleet.yaml"
    file.write_text(
        "apiVersion: healthd/v1\nkind: Fleet\n"
        f"prometheus: [{{name: eu, url: '{api.url}'}}]\n"
        "clusters:\n- name: payments\n  bootstrapServers: ['b1:9092']\n"
        "  exporter: {port: 9404}\n"
        "  hosts: [{broker: 1, address: b1}, {broker: 2, address: b2}]\n"
        "  prometheus: {server: eu, matchers: {kafka_cluster: payments}}\n"
    )
    api.add(broker(2), RUNNING)
    found = ClusterTarget.of(load_fleet(file).clusters[0])
    assert found.has_metrics
    assert not found.exporter_urls
    pages = await read(found)
    assert list(pages.seen) == [2]
    assert [one.reason for one in pages.failures] == [FailureReason.NO_DATA]
    assert "instance=b1:9404" in pages.failures[0].detail


def says(body: Any = "", **options: Any) -> Callable[[str], Awaitable[web.StreamResponse]]:
    async def answer(_query: str) -> web.StreamResponse:
        if isinstance(body, bytes):
            return web.Response(body=body, **options)
        return web.Response(text=body, **options)

    return answer


JSON = {"content_type": "application/json"}
TROUBLE: dict[str, tuple[Callable[[str], Awaitable[web.StreamResponse]], FailureReason]] = {
    "400": (
        says('{"status":"error","errorType":"bad_data","error":"parse error"}', status=400, **JSON),
        FailureReason.QUERY_FAILED,
    ),
    "503 in words": (
        says(
            '{"status":"error","errorType":"timeout","error":"query timed out"}', status=503, **JSON
        ),
        FailureReason.QUERY_FAILED,
    ),
    "an error with 200": (
        says('{"status":"error","errorType":"internal","error":"x"}', **JSON),
        FailureReason.QUERY_FAILED,
    ),
    "401": (says(status=401), FailureReason.AUTHENTICATION),
    "403": (says(status=403), FailureReason.AUTHORIZATION),
    "404": (says("404 page not found", status=404), FailureReason.HTTP_STATUS),
    "502 from a proxy": (
        says("<html>Bad gateway", status=502, content_type="text/html"),
        FailureReason.HTTP_STATUS,
    ),
    "redirect loop": (
        says(status=307, headers={"Location": "/api/v1/query"}),
        FailureReason.REDIRECT,
    ),
    "a login page": (
        says("<html>Log in</html>", content_type="text/html"),
        FailureReason.NOT_METRICS,
    ),
    "half an answer": (
        says('{"status":"success","data":{"resu', **JSON),
        FailureReason.NOT_METRICS,
    ),
    "another API": (says('{"kind":"Status","data":{}}', **JSON), FailureReason.NOT_METRICS),
    "a list": (says("[1,2]", **JSON), FailureReason.NOT_METRICS),
    "a matrix": (
        says('{"status":"success","data":{"resultType":"matrix","result":[]}}', **JSON),
        FailureReason.NOT_METRICS,
    ),
    "odd rows": (
        says(
            '{"status":"success","data":{"resultType":"vector","result":[{"value":[1]}]}}', **JSON
        ),
        FailureReason.NOT_METRICS,
    ),
    "rows that are no rows": (
        says('{"status":"success","data":{"resultType":"vector","result":[7]}}', **JSON),
        FailureReason.NOT_METRICS,
    ),
    "no rows": (
        says('{"status":"success","data":{"resultType":"vector","result":null}}', **JSON),
        FailureReason.NOT_METRICS,
    ),
    "deep nesting": (says("[" * 100_000, **JSON), FailureReason.NOT_METRICS),
    "gzip rubbish": (
        says(b"\x1f\x8brubbish", headers={"Content-Encoding": "gzip"}, **JSON),
        FailureReason.BAD_ENCODING,
    ),
    "too much": (says(json.dumps("x" * 3_000_000), **JSON), FailureReason.TOO_LARGE),
}


@pytest.mark.parametrize("name", TROUBLE)
async def test_each_trouble_of_the_server_is_told_apart(
    api: FakeApi, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("healthd.collect.prometheus.MAX_ANSWER_BYTES", 2_000_000)
    api.add(broker(1), RUNNING)
    api.instead, reason = TROUBLE[name]
    assert (await failure(target(api.url))).reason is reason


async def test_a_server_that_hangs_for_ever_is_given_up(api: FakeApi) -> None:
    never = asyncio.Event()

    async def hangs(_query: str) -> None:
        await never.wait()

    api.instead = hangs
    only = await failure(target(api.url, timeout_seconds=0.05))
    assert only.reason is FailureReason.TIMEOUT
    never.set()


async def test_a_server_that_is_not_there(unused_tcp_port: int) -> None:
    only = await failure(target(f"http://127.0.0.1:{unused_tcp_port}"))
    assert only.reason is FailureReason.REFUSED


async def test_a_name_that_does_not_resolve() -> None:
    only = await failure(target("http://nowhere.invalid:9090"))
    assert only.reason is FailureReason.DNS


async def test_a_server_that_speaks_no_tls(api: FakeApi) -> None:
    only = await failure(target(api.url.replace("http:", "https:")))
    assert only.reason is FailureReason.TLS


class TestCredentials:
    async def test_a_token_is_sent_and_read_again_in_every_round(
        self, api: FakeApi, tmp_path: Path
    ) -> None:
        file = tmp_path / "token"
        file.write_text("first\n")
        file.chmod(0o600)
        clock = Clock()
        pages = pages_of(target(api.url, bearer_token=SecretRef(file=file)), clock=clock)
        await pages.read()
        file.write_text("second\n")
        clock.now += 15
        await pages.read()
        await pages.close()
        sent = Counter(headers["Authorization"] for headers in api.headers)
        assert sent == {"Bearer first": 1, "Bearer second": 1}

    async def test_a_token_that_cannot_be_read_is_ours_and_not_shown(
        self, api: FakeApi, tmp_path: Path
    ) -> None:
        missing = SecretRef(file=tmp_path / "gone")
        only = await failure(target(api.url, bearer_token=missing))
        assert only.reason is FailureReason.AUTHENTICATION
        assert "gone" in only.detail
        assert not api.queries

    async def test_the_time_of_a_program_is_neither_the_servers_nor_that_of_its_samples(
        self, api: FakeApi, tmp_path: Path
    ) -> None:
        file = tmp_path / "program"
        file.write_text(f"#!/bin/sh\nwhile [ ! -e {tmp_path}/go ]; do sleep 0.02; done\necho t\n")
        file.chmod(0o700)
        api.add(broker(1), RUNNING, age=3)
        clock = Clock()
        token = SecretRef(command=(str(file),), place="prometheus eu.bearerTokenCommand")
        pages = pages_of(target(api.url, bearer_token=token, wait_seconds=0.4), clock=clock)
        late = (await pages.read()).failures
        assert [each.detail.partition(": ")[2] for each in late] == [
            "its credentials could not be read within 0.4 s."
        ], late
        clock.now += 4
        (tmp_path / "go").touch()
        async with asyncio.timeout(20):
            while not (found := await pages.read()).seen:
                pass
        await pages.close()
        assert found.seen[1].at == pytest.approx(clock.now - 3)

    async def test_a_user_is_sent_as_basic(
        self, api: FakeApi, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PROM_PASSWORD", "secret")
        found = target(api.url)
        rest = RestConfig(
            urls=(api.url,), username="healthd", password=SecretRef(env="PROM_PASSWORD")
        )
        assert found.prometheus is not None
        use = PrometheusUse(
            server=PrometheusServer(name="eu", rest=rest),
            matchers=found.prometheus.matchers,
            node_label="broker_id",
        )
        pages = PrometheusReaders().pages_of(found, use)
        await pages.read()
        await pages.close()
        assert api.headers[0]["Authorization"] == "Basic aGVhbHRoZDpzZWNyZXQ="
