"""Checks as a playbook writes them, each known by its first key."""

import re
from collections.abc import Callable, Mapping
from typing import Final

from healthd.model.words import BrokerState
from healthd.waves.playbook_part import Part
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
from healthd.waves.playbook_texts import has_variables
from healthd.waves.problems import Location, describe_type
from healthd.waves.spec_findings import Findings

BROKER_KEYS: Final = ("brokerState", "inEveryIsr", "version")
CHECK_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "command": ("command", "become", "exitCode", "stdoutMatches"),
    "port": ("port",),
    "file": ("file", "exists", "sha256", "become"),
    "changed": ("changed",),
    "brokerState": BROKER_KEYS,
    "inEveryIsr": BROKER_KEYS,
    "version": BROKER_KEYS,
    "url": ("url", "status", "bodyMatches", "caFile"),
    "tlsPort": ("tlsPort", "fingerprint"),
    "brokerConfig": ("brokerConfig",),
    "feature": ("feature", "atLeast"),
}
"""By the key that says which check it is: the keys that it may have."""

MAX_CHECKS: Final = 50
MAX_PORT: Final = 65_535
MAX_EXIT: Final = 255
_FORMS: Final = ", ".join(key for key in CHECK_KEYS if key not in BROKER_KEYS[1:])
_SHA256: Final = re.compile(r"[0-9a-fA-F]{64}")
_FINGERPRINT: Final = re.compile(r"[0-9a-fA-F]{2}(?::?[0-9a-fA-F]{2}){31}")
_URL: Final = re.compile(r"https?://[^/\s]+\S*")
MIN_STATUS: Final = 100
MAX_STATUS: Final = 599


def parse_checks(value: object, at: Location, found: Findings) -> tuple[Check, ...]:
    """The checks that stand at a place: one mapping or a list of them."""
    if isinstance(value, Mapping):
        check = _check(value, at, found)
        return () if check is None else (check,)
    if not isinstance(value, list | tuple) or not value:
        what = "is empty" if value in ([], ()) else f"must be a check, not {describe_type(value)}"
        found.add(at, what, f"write {{KEY: ...}} with one of {_FORMS}, or a list of such")
        return ()
    if len(value) > MAX_CHECKS:
        found.add(at, f"has more than {MAX_CHECKS} checks", "keep the most important ones")
        return ()
    checks = [_check(item, (*at, place), found) for place, item in enumerate(value)]
    return tuple(check for check in checks if check is not None)


def _check(value: object, at: Location, found: Findings) -> Check | None:
    if not isinstance(value, Mapping):
        found.add(at, f"must be a check, not {describe_type(value)}", f"write one of {_FORMS}")
        return None
    forms = {CHECK_KEYS[key]: key for key in CHECK_KEYS if key in value}
    part = Part(data=value, at=at, found=found)
    if len(forms) != 1:
        what = "asks for nothing that is known" if not forms else "asks for more than one thing"
        action = f"write exactly one of {_FORMS}"
        part.add(what, action if not forms else f"{action}; several checks are a list")
        return None
    ((known, form),) = forms.items()
    part.keys(known)
    before = len(found.problems)
    check = _READERS[form](part)
    return None if len(found.problems) > before else check


def _command(part: Part) -> Check:
    return CommandCheck(
        command=part.argv(part.data["command"], "command"),
        become=part.flag("become"),
        exit_code=part.whole("exitCode", 0, 0, MAX_EXIT),
        stdout_matches=part.pattern("stdoutMatches"),
    )


def _port(part: Part) -> Check:
    return PortCheck(port=port_of(part, "port"))


def port_of(part: Part, key: str) -> str:
    """A port's number as text, or a variable that is one."""
    value = part.data[key]
    if isinstance(value, str) and has_variables(value):
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value[:6])
    return str(part.whole_of(value, 0, 1, MAX_PORT, key))


def _file(part: Part) -> Check:
    exists, sha256 = part.flag("exists", default=True), sha256_of(part)
    if sha256 is not None and not exists:
        part.misplaced("sha256", "is not used with exists: false", "remove one of the two")
    return FileCheck(
        file=path_of(part, "file") or "",
        exists=exists,
        sha256=sha256,
        become=part.flag("become"),
    )


def sha256_of(part: Part) -> str | None:
    """A SHA-256, in small letters where it is none of a variable."""
    text = part.text("sha256")
    if text is None or has_variables(text):
        return text
    if not _SHA256.fullmatch(text):
        part.add("is no SHA-256: 64 hexadecimal digits", "write what sha256sum prints", "sha256")
        return None
    return text.lower()


def path_of(part: Part, key: str) -> str | None:
    """An absolute path on a host."""
    text = part.text(key, required=True)
    if text is not None and not text.startswith(("/", "${")):
        part.add("must be an absolute path", "begin it with /", key)
        return None
    if text is not None and ".." in text.split("/"):
        part.add("has .. in it", "write the path without it", key)
        return None
    return text


def _changed(part: Part) -> Check:
    changed = part.word("changed", Changed, None)
    return ChangedCheck(changed=changed or Changed.BOOT_ID)


def _broker(part: Part) -> Check:
    state = part.word("brokerState", BrokerState, None)
    in_every_isr = part.flag("inEveryIsr")
    if not in_every_isr and not part.has("brokerState") and not part.has("version"):
        part.add("asks for nothing", "write inEveryIsr: true, or brokerState", "inEveryIsr")
    return BrokerCheck(
        broker_state=None if state is None else state.value,
        in_every_isr=in_every_isr,
        version=part.text("version"),
    )


def _http(part: Part) -> Check:
    return HttpCheck(
        url=url_of(part, "url") or "",
        status=part.whole("status", 200, MIN_STATUS, MAX_STATUS),
        body_matches=part.pattern("bodyMatches"),
        ca_file=part.text("caFile"),
    )


def url_of(part: Part, key: str) -> str | None:
    """A URL without a user or password in it."""
    text = part.text(key, required=True)
    if text is None:
        return None
    authority = text.partition("://")[2].partition("/")[0]
    if "@" in authority:
        action = "give a token by bearerToken: VARIABLE"
        part.add("has a user or a password in it; it is not shown here", action, key)
        return None
    if not text.startswith("${") and not _URL.fullmatch(text):
        part.add("is no URL", "write http://host:port/path or https://host:port/path", key)
        return None
    return text


def _certificate(part: Part) -> Check:
    text = part.text("fingerprint", required=True) or ""
    if text and not has_variables(text):
        if not _FINGERPRINT.fullmatch(text):
            action = "write what openssl x509 -fingerprint -sha256 prints behind the ="
            part.add("is no SHA-256 of a certificate", action, "fingerprint")
        text = text.replace(":", "").lower()
    return CertificateCheck(tls_port=port_of(part, "tlsPort"), fingerprint=text)


def _config(part: Part) -> Check:
    return ConfigCheck(broker_config=part.values(part.data["brokerConfig"], "brokerConfig"))


def _feature(part: Part) -> Check:
    return FeatureCheck(
        feature=part.text("feature", required=True) or "",
        at_least=part.text("atLeast", required=True) or "",
    )


_READERS: Final[Mapping[str, Callable[[Part], Check]]] = {
    "command": _command,
    "port": _port,
    "file": _file,
    "changed": _changed,
    "brokerState": _broker,
    "inEveryIsr": _broker,
    "version": _broker,
    "url": _http,
    "tlsPort": _certificate,
    "brokerConfig": _config,
    "feature": _feature,
}
