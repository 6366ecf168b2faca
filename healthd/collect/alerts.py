"""Which alerts fire: asked of Alertmanager (API version 2) and of Prometheus (API version 1).

A question is answered whole or not at all: an answer of another form, or with an alert that
cannot be read, is a failure, for it might hide the alert that matters.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Protocol
from urllib.parse import quote, urlencode

from healthd.collect.observation import FailureReason, Origin
from healthd.collect.outside_client import OutsideClient
from healthd.collect.rest import RestError
from healthd.config.source_server import ServerConfig
from healthd.waves.alert_gate import FiringAlert
from healthd.waves.matchers import Matcher, all_match
from healthd.waves.silences import Silence, mark_of

ALERTMANAGER: Final = "alertmanager"
PROMETHEUS: Final = "prometheus"
SETTLE_SECONDS: Final = 90.0
"""An Alertmanager keeps no alerts over a restart; Prometheus tells it again within a minute, and
its next evaluation."""
_ENDED: Final = "expired"


class AlertReader(Protocol):
    """One server that knows which alerts fire."""

    @property
    def source(self) -> str:
        """`alertmanager` or `prometheus`."""

    async def firing(self, matchers: Sequence[Matcher]) -> tuple[FiringAlert, ...]:
        """Every alert that fires and meets all matchers, silenced or not.

        Raises:
            RestError: it could not be asked, or its answer cannot be believed.
        """

    async def aclose(self) -> None:
        """Let go of the connection."""


class SilenceKeeper(Protocol):
    """Where silences are made and removed."""

    async def own(self) -> tuple[Silence, ...]:
        """The silences that healthd has made and that have not ended.

        Raises:
            RestError: see `AlertReader.firing`.
        """

    async def make(self, document: Mapping[str, Any]) -> str:
        """The id of a new silence.

        Raises:
            RestError: it was refused, or nobody knows whether it was made.
        """

    async def remove(self, silence: str) -> None:
        """End a silence; one that has ended already is no trouble.

        Raises:
            RestError: as for `make`.
        """


class Alertmanager:
    """An `AlertReader` and a `SilenceKeeper` over one Alertmanager."""

    source = ALERTMANAGER

    def __init__(self, server: ServerConfig, *, clock: Callable[[], float] = time.time) -> None:
        """Ask nothing yet."""
        self._url = f"{server.url}/api/v2"
        self._client = OutsideClient(server)
        self._clock = clock
        self._started: float | None = None

    async def firing(self, matchers: Sequence[Matcher]) -> tuple[FiringAlert, ...]:
        """See `AlertReader.firing`."""
        await self._require_settled()
        wanted = [("active", "true"), ("silenced", "true"), ("inhibited", "true")]
        # One that has just arrived fires as well.
        wanted.append(("unprocessed", "true"))
        wanted += [("filter", str(matcher)) for matcher in matchers]
        rows = await self._client.get(f"{self._url}/alerts?{urlencode(wanted)}")
        alerts = [self._alert(row) for row in _list(rows)]
        if not any(silenced for _, silenced in alerts):
            return tuple(alert for alert, _ in alerts)
        known = {silence.id: silence for silence in await self._silences()}
        return tuple(_silenced(alert, ids, known) for alert, ids in alerts)

    async def own(self) -> tuple[Silence, ...]:
        """See `SilenceKeeper.own`."""
        return tuple(each for each in await self._silences() if each.mark is not None)

    async def make(self, document: Mapping[str, Any]) -> str:
        """See `SilenceKeeper.make`."""
        answer = await self._client.send("POST", f"{self._url}/silences", document)
        made = answer.get("silenceID") if isinstance(answer, dict) else None
        if not isinstance(made, str) or not made:
            raise _unreadable("no id of the silence")
        return made

    async def remove(self, silence: str) -> None:
        """See `SilenceKeeper.remove`."""
        try:
            await self._client.send("DELETE", f"{self._url}/silence/{quote(silence, safe='')}")
        except RestError as error:
            if error.status is None:  # It answers so (404) when the silence is not there.
                raise

    async def aclose(self) -> None:
        """See `AlertReader.aclose`."""
        await self._client.aclose()

    async def _require_settled(self) -> None:
        """Fail while an Alertmanager that was restarted may not know yet what fires.

        The one that is found at first is taken as it is. Where several share one address, each
        tells its own beginning, and only one that began just now is in doubt.
        """
        try:
            status = await self._client.get(f"{self._url}/status")
        except RestError as error:
            if error.status is None:
                raise
            return  # Something else that speaks this API, and does not tell.
        uptime = status.get("uptime") if isinstance(status, dict) else None
        if uptime is None:
            return
        started, now = _unix(uptime), self._clock()
        if self._started is None:
            self._started = started
        age = now - started
        if started != self._started and age < SETTLE_SECONDS:
            raise RestError(
                FailureReason.PROTOCOL,
                f"was restarted {age:.0f} s ago and may not have been told yet what fires",
            )

    async def _silences(self) -> list[Silence]:
        rows = _list(await self._client.get(f"{self._url}/silences"))
        return [silence for row in rows if (silence := _silence(row)) is not None]

    def _alert(self, row: Any) -> tuple[FiringAlert, tuple[str, ...]]:
        status = row.get("status") if isinstance(row, dict) else None
        silenced = status.get("silencedBy") if isinstance(status, dict) else None
        if not isinstance(silenced, list):
            raise _unreadable("an alert without its status")
        alert = FiringAlert(
            source=self.source, labels=_labels(row), since=str(row.get("startsAt") or "")
        )
        return alert, tuple(map(str, silenced))


class PrometheusAlerts:
    """An `AlertReader` over one Prometheus server; it knows of no silence."""

    source = PROMETHEUS

    def __init__(self, server: ServerConfig) -> None:
        """Ask nothing yet."""
        self._url = f"{server.url}/api/v1"
        self._client = OutsideClient(server)

    async def firing(self, matchers: Sequence[Matcher]) -> tuple[FiringAlert, ...]:
        """See `AlertReader.firing`."""
        await self._require_rules(matchers)
        rows = _list((await self._data("alerts")).get("alerts"))
        return tuple(
            FiringAlert(source=self.source, labels=labels, since=str(row.get("activeAt") or ""))
            for row in rows
            if _state(row) == "firing" and all_match(matchers, labels := _labels(row))
        )

    async def aclose(self) -> None:
        """See `AlertReader.aclose`."""
        await self._client.aclose()

    async def _require_rules(self, matchers: Sequence[Matcher]) -> None:
        """Fail when a rule whose alert could match is not evaluated: it would never fire."""
        try:
            groups = (await self._data("rules?type=alert")).get("groups")
        except RestError as error:
            if error.status is None:
                raise
            return  # Something else that speaks this API, and does not tell.
        for group in groups if isinstance(groups, list) else ():
            for rule in group.get("rules", ()) if isinstance(group, dict) else ():
                trouble = _rule_trouble(rule, matchers)
                if trouble is not None:
                    raise RestError(FailureReason.PROTOCOL, trouble)

    async def _data(self, what: str) -> dict[str, Any]:
        answer = await self._client.get(f"{self._url}/{what}")
        if not isinstance(answer, dict) or answer.get("status") != "success":
            raise _unreadable("no answer of Prometheus's API")
        data = answer.get("data")
        if not isinstance(data, dict):
            raise _unreadable("no data")
        return data


def _rule_trouble(rule: Any, matchers: Sequence[Matcher]) -> str | None:
    """Why the alert of a rule may be missing; None when it is evaluated, or could not match."""
    if not isinstance(rule, dict) or rule.get("type", "alerting") != "alerting":
        return None
    health = rule.get("health", "ok")
    if health == "ok":
        return None
    labels = rule.get("labels")
    known = {"alertname": str(rule.get("name", ""))}
    known |= {
        str(name): str(value)
        for name, value in (labels.items() if isinstance(labels, dict) else ())
        if "{{" not in str(value)  # A template: what it gives is not known.
    }
    if not all(each.matches(known) for each in matchers if each.name in known):
        return None
    why = {"err": "cannot evaluate", "unknown": "has not evaluated yet"}.get(str(health), "lost")
    return f"{why} the rule {known['alertname']}, so that its alert cannot fire"


def _list(rows: Any) -> list[Any]:
    if not isinstance(rows, list):
        raise _unreadable("no list")
    return rows


def _state(row: Any) -> str:
    state = row.get("state") if isinstance(row, dict) else None
    if state not in {"pending", "firing", "inactive"}:
        raise _unreadable("an alert without its state")
    return str(state)


def _labels(row: Any) -> dict[str, str]:
    labels = row.get("labels") if isinstance(row, dict) else None
    if not isinstance(labels, dict) or not all(isinstance(each, str) for each in labels.values()):
        raise _unreadable("an alert without its labels")
    return dict(labels)


def _silence(row: Any) -> Silence | None:
    """The silence in a row; None when it has ended."""
    status = row.get("status") if isinstance(row, dict) else None
    state = status.get("state") if isinstance(status, dict) else None
    if not isinstance(state, str) or not isinstance(row.get("id"), str):
        raise _unreadable("a silence without its id or state")
    if state == _ENDED:
        return None
    mark = mark_of(str(row.get("createdBy", "")), str(row.get("comment", "")))
    return Silence(id=row["id"], mark=mark, ends=_unix(row.get("endsAt")))


def _silenced(
    alert: FiringAlert, ids: tuple[str, ...], known: Mapping[str, Silence]
) -> FiringAlert:
    # One that ended between the two questions silences nothing any more.
    silences = tuple(known[each] for each in ids if each in known)
    return FiringAlert(
        source=alert.source, labels=alert.labels, since=alert.since, silences=silences
    )


def _unix(text: Any) -> float:
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except (ValueError, OverflowError):
        raise _unreadable("a time that is none") from None


def _unreadable(what: str) -> RestError:
    return RestError(FailureReason.PROTOCOL, f"gave {what}: check address and version", Origin.OURS)
