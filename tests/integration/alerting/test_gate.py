"""The alert gate and silences, with a real Alertmanager and a real Prometheus."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.alertmanager import RealAlertmanager, WebhookReceiver, alertmanager
from support.daemon import config_of
from support.prometheus_server import RealPrometheus, StandInExporter, running
from support.waves import a_run, a_wave

from healthd.collect.alerts import Alertmanager, PrometheusAlerts
from healthd.config.fleet import ClusterConfig
from healthd.config.source_alerts import AlertsConfig
from healthd.config.source_rest import RestConfig
from healthd.config.source_server import ServerConfig
from healthd.engine.clock import Clock
from healthd.engine.silencing import Silencer
from healthd.engine.tasks import Background
from healthd.waves.alert_gate import FiringAlert
from healthd.waves.matchers import parse_matchers
from healthd.waves.policy import WavePolicy
from healthd.waves.silences import SilenceMark
from healthd.waves.state import NodeStatus, WaveState

RULES = {
    "groups": [
        {
            "name": "test",
            "interval": "1s",
            "rules": [
                {"alert": "Hot", "expr": "temperature > 50", "labels": {"severity": "critical"}},
                {"alert": "Warm", "expr": "temperature > 30", "labels": {"severity": "warning"}},
                {
                    "alert": "LongHot",
                    "expr": "temperature > 50",
                    "for": "1h",
                    "labels": {"severity": "critical"},
                },
            ],
        }
    ]
}


def server(address: str) -> ServerConfig:
    """A server at that address."""
    return ServerConfig(rest=RestConfig(urls=(f"http://{address}",)))


async def until(is_so: Callable[[], Awaitable[bool]], seconds: float = 20) -> None:
    """Return when it is so."""
    end = time.monotonic() + seconds
    while not await is_so():
        assert time.monotonic() < end, "it never was so"
        await asyncio.sleep(0.05)


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealAlertmanager]:
    folder = tmp_path_factory.mktemp("gate") / "alertmanager"
    with WebhookReceiver().serving() as receiver, alertmanager(folder, receiver.address) as found:
        yield found


def silence(manager: RealAlertmanager, **matchers: str) -> None:
    """A person silences what has these labels."""
    body = {
        "matchers": [
            {"name": name, "value": value, "isRegex": False} for name, value in matchers.items()
        ],
        "startsAt": "2026-01-01T00:00:00Z",
        "endsAt": "2099-01-01T00:00:00Z",
        "createdBy": "ann",
        "comment": "known",
    }
    request = urllib.request.Request(
        f"http://{manager.address}/api/v2/silences",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    urllib.request.urlopen(request, timeout=10).close()


async def firing(manager: RealAlertmanager, *matchers: str) -> list[FiringAlert]:
    """What fires there and matches."""
    reader = Alertmanager(server(manager.address))
    try:
        found = await reader.firing(parse_matchers(matchers))
    finally:
        await reader.aclose()
    return sorted(found, key=lambda each: each.labels.get("instance", ""))


@pytest.mark.parametrize(
    ("matchers", "instances"),
    [
        (['severity="critical"'], ["b1:9100", "b2:9100"]),
        (['severity="critical"', 'instance=~"b1(:.*)?"'], ["b1:9100"]),
        (['instance!~"b1.*"'], ["b2:9100", "b3:9100"]),
        ([r'instance=~"b\\d:9100"', 'severity!="warning"'], ["b1:9100", "b2:9100"]),
        ([r'summary="a \"quoted\" \\ text"'], ["b3:9100"]),
        (['severity=~"crit"'], []),
        (['team=""', 'severity="warning"'], ["b3:9100"]),
    ],
    ids=lambda value: " ".join(value) if value and "=" in value[0] else "",
)
async def test_alertmanager_reads_our_matchers_as_we_do(
    manager: RealAlertmanager, matchers: list[str], instances: list[str]
) -> None:
    rows = [
        {"alertname": "Matched", "severity": "critical", "instance": "b1:9100"},
        {"alertname": "Matched", "severity": "critical", "instance": "b2:9100"},
        {
            "alertname": "Matched",
            "severity": "warning",
            "instance": "b3:9100",
            "summary": 'a "quoted" \\ text',
        },
    ]
    manager.post(rows)
    own = 'alertname="Matched"'
    found = await firing(manager, own, *matchers)
    assert [each.labels["instance"] for each in found] == instances
    # What Alertmanager filters out is what we would.
    ours = parse_matchers([own, *matchers])
    assert instances == [row["instance"] for row in rows if all(each.matches(row) for each in ours)]


async def test_an_alert_that_a_person_silenced_is_told_apart(manager: RealAlertmanager) -> None:
    manager.post([{"alertname": "Known", "instance": f"b{node}:9100"} for node in (1, 2)])
    silence(manager, alertname="Known", instance="b1:9100")

    async def is_silenced() -> bool:
        return bool((await firing(manager, 'alertname="Known"'))[0].silences)

    await until(is_silenced)
    known, heard = await firing(manager, 'alertname="Known"')
    assert [each.mark for each in known.silences] == [None]
    assert heard.silences == ()


def a_config(manager: RealAlertmanager) -> ClusterConfig:
    """A cluster whose hosts are b1 to b3."""
    found = config_of("payments")
    return ClusterConfig(
        name=found.name,
        bootstrap_servers=found.bootstrap_servers,
        hosts=found.hosts,
        alerts=AlertsConfig(alertmanager=server(manager.address)),
    )


@dataclass
class Silencing:
    """A wave that silences at a real Alertmanager."""

    manager: RealAlertmanager
    wave: str

    def __post_init__(self) -> None:
        self.keeper = Alertmanager(server(self.manager.address))
        self.tasks = Background("silence_task_broke")

    def state(self, status: NodeStatus) -> WaveState:
        """The wave with node 3 in that status."""
        policy = WavePolicy(silence=True)
        return a_wave(1, 2, a_run(3, status), policy=policy, wave=self.wave)

    def silencer(self) -> Silencer:
        """One life of the daemon."""
        return Silencer(
            self.wave,
            a_config(self.manager),
            self.keeper,
            addresses=lambda: (("payments", 1, "b1"), ("payments", 2, "b2"), ("payments", 3, "b3")),
            limit_seconds=10,
            again_seconds=0.1,
            clock=Clock(),
            tasks=self.tasks,
        )

    async def marks(self) -> list[SilenceMark | None]:
        """What its silences are for."""
        found = [each.mark for each in await self.keeper.own()]
        return [mark for mark in found if mark is not None and mark.wave == self.wave]

    async def close(self) -> None:
        """Wait for what is being removed."""
        await self.tasks.join()
        await self.keeper.aclose()


async def test_exactly_the_host_in_work_is_silenced_and_heard_again_afterwards(
    manager: RealAlertmanager,
) -> None:
    work = Silencing(manager, "w-exact")
    rows = ["b3:7071", "b3:9100", "b3", "b31:9100", "b2:7071"]
    manager.post([{"alertname": "Gone", "instance": instance} for instance in rows])
    silencer, stopping = work.silencer(), work.state(NodeStatus.STOPPING)
    assert await silencer.before_stop(stopping, 3) is None
    mark = SilenceMark(wave="w-exact", node=3)
    assert await work.marks() == [mark]

    async def silenced() -> set[str]:
        found = await firing(manager, 'alertname="Gone"')
        return {each.labels["instance"] for each in found if each.silences}

    async def is_silenced() -> bool:
        return await silenced() == {"b3:7071", "b3:9100", "b3"}

    await until(is_silenced)
    found = await firing(manager, 'alertname="Gone"', 'instance="b3"')
    assert [each.mark for each in found[0].silences] == [mark]
    silencer.moved(work.state(NodeStatus.DONE))
    await work.tasks.join()
    assert await work.marks() == []

    async def is_heard() -> bool:
        return await silenced() == set()

    await until(is_heard)
    await work.close()


async def test_after_a_crash_the_silence_is_found_and_neither_doubled_nor_left(
    manager: RealAlertmanager,
) -> None:
    work = Silencing(manager, "w-crash")
    stopping = work.state(NodeStatus.STOPPING)
    await work.silencer().before_stop(stopping, 3)
    again = work.silencer()
    again.begin(stopping)
    assert await again.before_stop(stopping, 3) is None
    await work.tasks.join()
    assert len(await work.marks()) == 1
    third = work.silencer()
    third.begin(work.state(NodeStatus.FAILED))
    await work.tasks.join()
    await work.tasks.join()
    assert await work.marks() == []
    await work.close()


async def test_a_silence_that_is_nearly_over_is_made_longer(manager: RealAlertmanager) -> None:
    work = Silencing(manager, "w-longer")
    short = WavePolicy(silence=True, recovery_timeout_seconds=30)
    first = a_wave(1, 2, a_run(3, NodeStatus.STOPPING), policy=short, wave=work.wave)
    await work.silencer().before_stop(first, 3)
    (before,) = [
        each for each in await work.keeper.own() if each.mark and each.mark.wave == work.wave
    ]
    longer = a_wave(
        1, 2, a_run(3, NodeStatus.STOPPING), wave=work.wave,
        policy=WavePolicy(silence=True, recovery_timeout_seconds=9_000),
    )  # fmt: skip
    await work.silencer().before_stop(longer, 3)
    (after,) = [
        each for each in await work.keeper.own() if each.mark and each.mark.wave == work.wave
    ]
    assert after.ends > before.ends + 1_000
    work.silencer().begin(work.state(NodeStatus.DONE))
    await work.close()


@pytest.fixture(scope="module")
def heated(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[RealPrometheus, StandInExporter]]:
    folder: Path = tmp_path_factory.mktemp("gate") / "prometheus"
    folder.mkdir()
    (folder / "rules.yml").write_text(json.dumps(RULES))
    page = b'temperature{instance="b1"} 60\ntemperature{instance="b2"} 40\n'
    with StandInExporter(page=page).serving() as exporter:
        config: dict[str, Any] = {
            "global": {"scrape_interval": "1s", "external_labels": {"region": "eu"}},
            "rule_files": ["rules.yml"],
            "scrape_configs": [
                {
                    "job_name": "kafka",
                    "honor_labels": True,
                    "static_configs": [{"targets": [exporter.address]}],
                }
            ],
        }
        (folder / "prometheus.yml").write_text(json.dumps(config))
        with running(folder / "prometheus.yml") as found:
            found.wait_for('ALERTS{alertname="Hot", alertstate="firing"}')
            yield found, exporter


async def test_prometheus_tells_what_fires_and_not_what_is_pending(
    heated: tuple[RealPrometheus, StandInExporter],
) -> None:
    prometheus, _ = heated
    reader = PrometheusAlerts(server(prometheus.url.removeprefix("http://")))
    critical = await reader.firing(parse_matchers(['severity="critical"']))
    assert [(each.name, each.labels["instance"]) for each in critical] == [("Hot", "b1")]
    assert critical[0].since.startswith("20")
    both = await reader.firing(parse_matchers(['instance=~"b[12]"', 'alertname!="Hot"']))
    assert sorted((each.name, each.labels["instance"]) for each in both) == [
        ("Warm", "b1"),
        ("Warm", "b2"),
    ]
    await reader.aclose()


async def test_an_alert_that_is_over_fires_no_more(
    heated: tuple[RealPrometheus, StandInExporter],
) -> None:
    prometheus, exporter = heated
    exporter.page = b'temperature{instance="b1"} 20\n'
    reader = PrometheusAlerts(server(prometheus.url.removeprefix("http://")))

    async def is_quiet() -> bool:
        return await reader.firing(parse_matchers(['alertname="Hot"'])) == ()

    await until(is_quiet)
    await reader.aclose()
