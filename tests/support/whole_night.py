"""A night's work on two real clusters: people with tokens, alerts, a load, and who watches it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from ruamel.yaml import YAML
from support.alertmanager import RealAlertmanager

from healthd.demo.daemon import DaemonProcess
from healthd.demo.fleet import DemoFleet
from healthd.demo.fleet_file import write_fleet_file
from healthd.demo.service import wait_until
from healthd.demo.topics import quiet_client

with warnings.catch_warnings():
    # It reads its schemas in a way that Python 3.11 warns of.
    warnings.simplefilter("ignore", DeprecationWarning)
    from kafka import TopicPartition
    from kafka.admin import AlterConfigOp, ConfigResource, ConfigResourceType, KafkaAdminClient

PEOPLE: Mapping[str, list[str]] = {"ada": ["operator"], "bob": ["operator", "approver"]}
MOVING = "moving"
THROTTLE = "follower.replication.throttled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its stdout as JSON."""
        return json.loads(self.out)


class Night:
    """The daemon over both clusters, and the command line in the hands of ada and bob."""

    def __init__(
        self, dev: DemoFleet, prod: DemoFleet, alerts: RealAlertmanager, folder: Path
    ) -> None:
        self.dev, self.prod, self.alerts = dev, prod, alerts
        self._folder = folder
        fleet_file = folder / "fleet.yaml"
        server = {"alertmanager": {"url": f"http://{alerts.address}"}}
        clusters = [
            {**dev.entry(), "labels": {"env": "dev"}},
            {**prod.entry(), "labels": {"env": "prod"}},
        ]
        write_fleet_file(fleet_file, clusters, alerts=server)
        self.daemon = DaemonProcess(
            fleet_file,
            folder,
            interval_seconds=1,
            collect_deadline_seconds=8,
            kafka_timeout_seconds=2,
            tokens_file=str(self._write_tokens()),
        )
        self.daemon.token_file = self.token_file("ada")

    def token_file(self, person: str) -> Path:
        """Where somebody's token is."""
        return self._folder / f"{person}.token"

    def _write_tokens(self) -> Path:
        for person in PEOPLE:
            file = self.token_file(person)
            file.write_text(f"{person}-{os.urandom(16).hex()}\n", "utf-8")
            file.chmod(0o600)
        document = {
            "apiVersion": "healthd/v1",
            "kind": "Tokens",
            "tokens": [
                {"name": person, "roles": roles, "tokenFile": str(self.token_file(person))}
                for person, roles in PEOPLE.items()
            ],
        }
        path = self._folder / "tokens.yaml"
        with path.open("w", encoding="utf-8") as output:
            YAML().dump(document, output)
        return path

    def __enter__(self) -> Self:
        self.daemon.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.daemon.kill()

    def say(self, *words: str, person: str = "ada") -> Answer:
        """One command of a person's."""
        done = subprocess.run(
            [sys.executable, "-m", "healthd", *words],
            env=self._environment(person),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return Answer(code=done.returncode, out=done.stdout, err=done.stderr)

    def must(self, *words: str, person: str = "ada") -> Answer:
        """One command that succeeds."""
        answer = self.say(*words, person=person)
        assert answer.code == 0, (words, answer)
        return answer

    def _environment(self, person: str) -> dict[str, str]:
        known = {"HEALTHD_SERVER": self.daemon.url}
        return {**os.environ, **known, "HEALTHD_TOKEN_FILE": str(self.token_file(person))}

    def start(self, document: Mapping[str, Any]) -> str:
        """The id of the wave that a file describes."""
        path = self._folder / "wave.yaml"
        with path.open("w", encoding="utf-8") as output:
            YAML().dump(dict(document), output)
        return str(self.must("wave", "start", str(path), "-o", "json").json["wave"])

    @contextlib.contextmanager
    def watching(self, wave: str) -> Iterator[Watch]:
        """`healthd wave watch` of the wave, in a pipe."""
        log = self._folder / "watch.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "healthd", "wave", "watch", wave, "--interval", "0.2"],
                env={**self._environment("ada"), "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        try:
            yield Watch(process=process, log=log)
        finally:
            process.kill()
            process.wait()


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """A `wave watch` that runs, and what it has printed."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def text(self) -> str:
        """All that it has printed so far."""
        return self.log.read_text("utf-8")

    def wait_for(self, *words: str, since: int = 0, seconds: float = 120) -> str:
        """The first line that has all these words, printed after so many characters."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for line in self.text[since:].splitlines():
                if all(word in line for word in words):
                    return line
            time.sleep(0.05)
        raise AssertionError(f"{words} not in {seconds} s in:\n{self.text}")

    def exit_code(self, seconds: float) -> int:
        """What it ends with."""
        return self.process.wait(seconds)


@contextlib.contextmanager
def firing(alerts: RealAlertmanager, labels: Mapping[str, str]) -> Iterator[None]:
    """The alert fires inside, and is resolved afterwards."""
    alerts.post([labels])
    try:
        yield
    finally:
        alerts.resolve(labels)
        wait_until(
            lambda: all(each["labels"] != dict(labels) for each in alerts.alerts()),
            "the alert is resolved",
            30,
        )


@contextlib.contextmanager
def reassigning(fleet: DemoFleet) -> Iterator[Callable[[], None]]:
    """A reassignment that does not get on; calling it lets it finish.

    A topic of its own gets a copy on one broker more, which may fetch a byte a second. The topic
    holds more than the one fetch that is let through before anybody counts bytes.
    """
    admin = KafkaAdminClient(bootstrap_servers=fleet.bootstrap)
    _fill_moving(fleet)
    partition = TopicPartition(MOVING, 0)
    target = _broker_without(fleet, partition)
    settings = (
        (ConfigResourceType.TOPIC, MOVING, f"{THROTTLE}.replicas", "*"),
        (ConfigResourceType.BROKER, str(target), f"{THROTTLE}.rate", "1"),
    )

    def change(operation: AlterConfigOp) -> None:
        for kind, name, key, value in settings:
            resource = ConfigResource(kind, name, {key: (operation, value)})
            # The library does not know that brokers have the rate as a dynamic setting.
            admin.alter_configs([resource], raise_on_unknown=False)

    def finish() -> None:
        change(AlterConfigOp.DELETE)

    try:
        change(AlterConfigOp.SET)
        everybody = [node.id for node in fleet.nodes]
        answers = admin.alter_partition_reassignments({partition: everybody})
        assert answers == {partition: None}, answers
        yield finish
    finally:
        finish()
        admin.delete_topics([MOVING])
        admin.close()


def _fill_moving(fleet: DemoFleet) -> None:
    client = AdminClient(quiet_client(fleet.bootstrap))
    new = NewTopic(
        MOVING,
        num_partitions=1,
        replication_factor=fleet.shape.replication_factor,
        config={"min.insync.replicas": str(fleet.shape.min_insync_replicas)},
    )
    client.create_topics([new], request_timeout=15)[MOVING].result()
    producer = Producer(quiet_client(fleet.bootstrap, acks="all"))
    for _ in range(64):
        producer.produce(MOVING, os.urandom(100_000))
        producer.poll(0)
    assert producer.flush(60) == 0


def _broker_without(fleet: DemoFleet, partition: TopicPartition) -> int:
    client = AdminClient(quiet_client(fleet.bootstrap))
    row = client.list_topics(timeout=15).topics[partition.topic].partitions[partition.partition]
    return next(node.id for node in fleet.nodes if node.id not in row.replicas)
