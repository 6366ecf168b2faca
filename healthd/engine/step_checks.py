"""Whether the checks of a playbook's step are true, asked of hosts, ports and pages now."""

import asyncio
import stat
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from healthd.engine.step_files import digest_in, lies_in
from healthd.engine.step_host import StepEnds, StepHost
from healthd.engine.step_outside import fingerprint_of, page_of
from healthd.model.snapshot import ClusterSnapshot
from healthd.waves.events import HostState, Outcome
from healthd.waves.host_commands import READ_BOOT_ID, HostCommand, digest, look
from healthd.waves.patterns import PatternError, literal_pattern, pattern
from healthd.waves.playbook_steps import (
    BrokerCheck,
    CertificateCheck,
    Changed,
    ChangedCheck,
    Check,
    CommandCheck,
    ConfigCheck,
    FeatureCheck,
    FileCheck,
    HttpCheck,
    PortCheck,
)

PORT_SECONDS: Final = 5.0
_NOT_THERE: Final = "No such file or directory"


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of one check, or of several."""

    is_true: bool | None
    """None: nobody could be asked."""
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What was so when the node was taken."""

    process_start: str | None = None
    boot_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Checker:
    """Asks for one node."""

    node: int
    host: StepHost
    before: Before
    observe: Callable[[], Awaitable[HostState]]
    """What the host says of the node's process."""
    look: Callable[[], Awaitable[ClusterSnapshot | None]]
    """The cluster as it is now."""
    kafka: Callable[[ConfigCheck | FeatureCheck], Awaitable[Finding]]
    """What the cluster itself answers."""

    async def all(self, checks: Sequence[Check]) -> Finding:
        """Whether all of them are true; the first that is not says why."""
        found: list[Finding] = []
        for check in checks:
            found.append(await self.one(check))
            if found[-1].is_true is False:
                return found[-1]
        unknown = next((finding for finding in found if finding.is_true is None), None)
        if unknown is not None:
            return unknown
        return Finding(is_true=True, detail="; ".join(finding.detail for finding in found))

    async def one(self, check: Check) -> Finding:
        """Whether one check is true."""
        try:
            return await self._asking(check)()
        except StepEnds as ends:
            return Finding(is_true=None, detail=ends.detail)

    def _asking(self, check: Check) -> Callable[[], Awaitable[Finding]]:
        match check:
            case CommandCheck():
                return partial(self._command, check)
            case PortCheck():
                return partial(self._port, check)
            case FileCheck():
                return partial(self._file, check)
            case ChangedCheck():
                is_boot = check.changed is Changed.BOOT_ID
                return self._boot if is_boot else self._process
            case BrokerCheck():
                return partial(self._broker, check)
            case HttpCheck():
                return partial(self._page, check)
            case CertificateCheck():
                return partial(self._certificate, check)
            case ConfigCheck() | FeatureCheck():
                return partial(self.kafka, check)

    async def _command(self, check: CommandCheck) -> Finding:
        command = HostCommand(argv=check.command, become=check.become)
        outcome = await self.host.ask(command)
        if outcome.trouble is not None:
            return Finding(is_true=None, detail=self.host.words(command, outcome))
        if outcome.exit_code != check.exit_code:
            return Finding(is_true=False, detail=self.host.words(command, outcome))
        wanted = check.stdout_matches
        if wanted is not None and not await contains(wanted, outcome.stdout):
            detail = f"{check.command[0]} printed nothing that matches {wanted!r}"
            return Finding(is_true=False, detail=detail)
        return Finding(is_true=True, detail=f"{check.command[0]} says so")

    async def _port(self, check: PortCheck) -> Finding:
        port = _port_number(check.port)
        place = f"port {port} of {self.host.name}"
        try:
            async with asyncio.timeout(PORT_SECONDS):
                _, writer = await asyncio.open_connection(self.host.name, port)
        except TimeoutError:
            return Finding(is_true=False, detail=f"{place} does not answer")
        except OSError as error:
            why = error.strerror or type(error).__name__
            return Finding(is_true=False, detail=f"{place}: {why}")
        writer.close()
        return Finding(is_true=True, detail=f"{place} answers")

    async def _file(self, check: FileCheck) -> Finding:
        command = look(check.file, become=check.become)
        outcome = await self.host.ask(command)
        is_there = outcome.is_success
        if not is_there and _NOT_THERE not in outcome.stderr:
            return Finding(is_true=None, detail=self.host.words(command, outcome))
        if is_there is not check.exists:
            told = "is there" if is_there else "is not there"
            return Finding(is_true=False, detail=f"{check.file} {told}")
        if check.sha256 is None or not is_there:
            return Finding(is_true=True, detail=f"{check.file} is as it should be")
        if not stat.S_ISREG(lies_in(outcome).mode):
            return Finding(is_true=False, detail=f"{check.file} is no file")
        command = digest(check.file, become=check.become)
        outcome = await self.host.ask(command)
        if not outcome.is_success:
            return Finding(is_true=None, detail=self.host.words(command, outcome))
        is_same = digest_in(outcome) == check.sha256.lower()
        told = "has the content" if is_same else "has another content"
        return Finding(is_true=is_same, detail=f"{check.file} {told}")

    async def boot_id(self) -> str:
        """What tells one boot of the host from the next.

        Raises:
            StepEnds: the host does not say.
        """
        command = HostCommand(argv=READ_BOOT_ID)
        outcome = await self.host.ask(command)
        found = outcome.stdout.strip()
        if not outcome.is_success or not found:
            raise StepEnds(Outcome.NOT_SENT, self.host.words(command, outcome))
        return found

    async def _boot(self) -> Finding:
        now = await self.boot_id()
        if self.before.boot_id is None:
            return Finding(is_true=None, detail="the boot id of before is not known")
        if now == self.before.boot_id:
            return Finding(is_true=False, detail=f"the boot id is still {now}")
        return Finding(is_true=True, detail=f"the boot id is {now} now")

    async def _process(self) -> Finding:
        now = await self.observe()
        if now.is_running is None:
            return Finding(is_true=None, detail=now.detail)
        if not now.is_running:
            return Finding(is_true=False, detail="the process does not run")
        if self.before.process_start is None or now.start is None:
            return Finding(is_true=None, detail="a start time of the process is not known")
        if now.start == self.before.process_start:
            return Finding(is_true=False, detail=f"the process still runs since {now.start}")
        return Finding(is_true=True, detail=f"the process runs since {now.start}")

    async def _broker(self, check: BrokerCheck) -> Finding:
        snapshot = await self.look()
        if snapshot is None:
            return Finding(is_true=None, detail="the cluster could not be looked at")
        broker = snapshot.brokers_by_id.get(self.node)
        state = "not there" if broker is None else broker.state.value
        if check.broker_state is not None and state != check.broker_state:
            is_unknown = broker is not None and state == "unknown"
            detail = f"broker {self.node} is {state}, not {check.broker_state}"
            return Finding(is_true=None if is_unknown else False, detail=detail)
        if check.in_every_isr:
            missing = missing_isr(snapshot, self.node)
            if missing:
                detail = f"broker {self.node} is not in the ISR of {missing[0]}"
                detail += f" and {len(missing) - 1} more" if len(missing) > 1 else ""
                return Finding(is_true=False, detail=detail)
        if check.version is not None:
            return _runs(self.node, None if broker is None else broker.version, check.version)
        return Finding(is_true=True, detail=f"broker {self.node} is as it should be")

    async def _page(self, check: HttpCheck) -> Finding:
        page = await page_of("GET", check.url, ca_file=check.ca_file)
        if page.status is None:
            return Finding(is_true=False, detail=f"{check.url}: {page.trouble}")
        if page.status != check.status:
            detail = f"{check.url} answered with HTTP status {page.status}, not {check.status}"
            return Finding(is_true=False, detail=detail)
        wanted = check.body_matches
        if wanted is not None and not await contains(wanted, page.text):
            return Finding(is_true=False, detail=f"{check.url} has nothing that matches {wanted!r}")
        return Finding(is_true=True, detail=f"{check.url} answers as it should")

    async def _certificate(self, check: CertificateCheck) -> Finding:
        port = _port_number(check.tls_port)
        place = f"port {port} of {self.host.name}"
        found = await fingerprint_of(self.host.name, port)
        if found.sha256 is None:
            return Finding(is_true=False, detail=f"{place}: {found.trouble}")
        wanted = check.fingerprint.replace(":", "").lower()
        if found.sha256 != wanted:
            detail = f"{place} serves the certificate {found.sha256[:16]}..., not {wanted[:16]}..."
            return Finding(is_true=False, detail=detail)
        return Finding(is_true=True, detail=f"{place} serves the certificate {wanted[:16]}...")


def missing_isr(snapshot: ClusterSnapshot, node: int) -> list[str]:
    """The partitions with a replica on a node that is not in their ISR."""
    return [
        f"{topic.name}-{topic.ids[at]}"
        for topic in snapshot.topics
        for at, replicas in enumerate(topic.replicas)
        if node in replicas and node not in topic.isrs[at]
    ]


async def contains(wanted: str, text: str) -> bool:
    """Whether some part of a text, or of one line of it, matches a pattern.

    Raises:
        StepEnds: it is no pattern.
    """
    try:
        compiled = pattern(wanted)
    except PatternError as error:
        raise StepEnds(Outcome.FAILED, f"{wanted!r} is no pattern: it {error}") from None
    if literal_pattern(wanted) == wanted:
        return wanted in text
    has_anchor = "^" in wanted or "$" in wanted
    parts = [*text.splitlines(), text] if has_anchor else [text]
    # 64 KiB of output take a while.
    return await asyncio.to_thread(lambda: any(map(compiled.is_in, parts)))


def _runs(node: int, version: str | None, wanted: str) -> Finding:
    if version is None:
        return Finding(is_true=None, detail=f"broker {node} does not tell its version")
    told, asked = version.split("."), wanted.split(".")
    known = min(len(told), len(asked))
    is_it = told[:known] == asked[:known]
    detail = f"broker {node} runs Kafka {version}" + ("" if is_it else f", not {wanted}")
    return Finding(is_true=is_it, detail=detail)


def _port_number(text: str) -> int:
    if text.isascii() and text.isdecimal() and 0 < int(text) < 65536:  # noqa: PLR2004  # Of TCP.
        return int(text)
    raise StepEnds(Outcome.FAILED, f"{text!r} is no port")
