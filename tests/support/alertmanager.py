"""A real Alertmanager with the shipped configuration, and a receiver that keeps what it gets."""

from __future__ import annotations

import contextlib
import datetime as dt
import http.server
import json
import re
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.prometheus_server import free_port
from support.threaded_server import listening

from healthd.demo.guarded import Command, GuardedProcesses
from healthd.demo.provision import find_program
from healthd.demo.service import wait_until

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "config/alertmanager/alertmanager.yml"


@dataclass(slots=True)
class WebhookReceiver:
    """Every message of Alertmanager's, with the path that it was sent to."""

    messages: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    address: str = field(default="", init=False)

    def alerts(self, name: str, status: str) -> list[tuple[str, Mapping[str, Any]]]:
        """The alerts of that name and status (firing, resolved) that came, with their path."""
        return [
            (path, alert)
            for path, message in list(self.messages)
            for alert in message["alerts"]
            if alert["labels"]["alertname"] == name and alert["status"] == status
        ]

    @contextlib.contextmanager
    def serving(self) -> Iterator[WebhookReceiver]:
        """It answers inside."""
        messages = self.messages

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                messages.append((self.path, json.loads(body)))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_words: object) -> None:
                pass

        with listening(Handler) as self.address:
            yield self


@dataclass(frozen=True, slots=True)
class RealAlertmanager:
    """One that runs."""

    address: str

    def post(self, alerts: Sequence[Mapping[str, str]]) -> None:
        """Alerts with these labels fire."""
        self._post([{"labels": dict(labels)} for labels in alerts])

    def _post(self, alerts: Sequence[Mapping[str, Any]]) -> None:
        body = json.dumps(alerts).encode()
        request = urllib.request.Request(
            f"http://{self.address}/api/v2/alerts",
            data=body,
            headers={"Content-Type": "application/json"},
        )
        urllib.request.urlopen(request, timeout=10).close()

    def resolve(self, labels: Mapping[str, str]) -> None:
        """The alert with these labels has ended."""
        ended = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=1)
        self._post([{"labels": dict(labels), "endsAt": ended.isoformat()}])

    def alerts(self) -> list[Mapping[str, Any]]:
        """Every alert that it has, with its status."""
        with urllib.request.urlopen(f"http://{self.address}/api/v2/alerts", timeout=10) as answer:
            return list(json.load(answer))

    def is_ready(self) -> bool:
        """Whether it answers."""
        try:
            with urllib.request.urlopen(f"http://{self.address}/-/ready", timeout=5):
                return True
        except OSError:
            return False


def in_a_hurry(text: str, receiver: str) -> str:
    """The shipped configuration with its waits cut to a second, and one receiver for all."""
    hurried = re.sub(r"(group_wait|group_interval): \w+", r"\1: 1s", text)
    return re.sub(r"http://[\w-]+\.example\.net", f"http://{receiver}", hurried)


@contextlib.contextmanager
def alertmanager(folder: Path, receiver: str) -> Iterator[RealAlertmanager]:
    """An Alertmanager with the shipped configuration, in a hurry."""
    folder.mkdir()
    config = folder / "alertmanager.yml"
    config.write_text(in_a_hurry(CONFIG.read_text("utf-8"), receiver), "utf-8")
    address = f"127.0.0.1:{free_port()}"
    command = Command(
        argv=[
            str(find_program("prometheus-alertmanager")),
            f"--config.file={config}",
            f"--storage.path={folder / 'data'}",
            f"--web.listen-address={address}",
            # No cluster of Alertmanagers.
            "--cluster.listen-address=",
        ],
        log=folder / "log",
    )
    servers = GuardedProcesses([command], folder, remove_folder=False)
    try:
        running = RealAlertmanager(address)
        wait_until(running.is_ready, "Alertmanager answers", 30)
        yield running
    finally:
        servers.close()
