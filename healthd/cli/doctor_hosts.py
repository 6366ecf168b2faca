"""The hosts of an examination as a person reads them."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from healthd.cli.terminal import plain, rows_of, table

_STYLES: Final = {"ok": "green", "failed": "bold red", "unknown": "magenta"}
_WORDS: Final = {
    "reachable": "reachable",
    "hostKey": "host key known",
    "login": "key accepted",
    "sudo": "sudo",
    "service": "service runs",
    "identity": "is the broker",
    "listening": "listens",
    "secondService": "no second one",
    "clock": "clock",
    "disk": "disk space",
    "home": "home",
    "reboot": "no reboot due",
}


def show_hosts(out: Console, hosts: Sequence[Mapping[str, Any]]) -> None:
    """A table of all hosts, and below it what to do about each problem."""
    if not hosts:
        return
    out.print()
    rows = [
        (_who(host).partition(" ")[2], host["address"], _verdict(host), _summary(host))
        for host in hosts
    ]
    out.print(rows_of(table("BROKER", "HOST", "", "CHECKS"), rows))
    for host in hosts:
        for check in host["checks"]:
            if check["outcome"] in {"failed", "unknown"}:
                what = _WORDS.get(check["check"], check["check"])
                out.print()
                out.print(
                    plain(
                        f"{_who(host)} on {host['address']}, {what}: "
                        f"{check['detail'].rstrip('.')}. To do: {check['action'].rstrip('.')}."
                    )
                )


def _who(host: Mapping[str, Any]) -> str:
    if "server" in host:
        return f"ZooKeeper {host['server']} (ensemble)"
    return f"broker {host['broker']}"


def _verdict(host: Mapping[str, Any]) -> Text:
    outcomes = {check["outcome"] for check in host["checks"]}
    worst = next((each for each in ("failed", "unknown") if each in outcomes), "ok")
    return Text(worst, style=_STYLES[worst])


def _summary(host: Mapping[str, Any]) -> str:
    bad = [
        _WORDS.get(check["check"], check["check"])
        for check in host["checks"]
        if check["outcome"] in {"failed", "unknown"}
    ]
    if bad:
        return f"not: {', '.join(dict.fromkeys(bad))}"
    seen = {check["check"]: check["detail"] for check in host["checks"]}
    told = [seen[name] for name in ("service", "disk") if seen.get(name)]
    return ", ".join(told)
