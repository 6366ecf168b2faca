"""What a step does, as a playbook writes it: exactly one key of a step."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from healthd.waves.playbook import STEP_VERBS, StepKind
from healthd.waves.playbook_checks import (
    MAX_EXIT,
    MAX_STATUS,
    MIN_STATUS,
    parse_checks,
    path_of,
    sha256_of,
    url_of,
)
from healthd.waves.playbook_part import Part, shown
from healthd.waves.playbook_steps import (
    Action,
    AnsibleAction,
    CommandAction,
    FilePlace,
    HttpAction,
    KafkaAction,
    KafkaVerb,
    PromptAction,
    RebootAction,
    TemplateAction,
    UploadAction,
    WaitAction,
)
from healthd.waves.playbook_texts import VARIABLE_NAME, has_variables
from healthd.waves.problems import Location, describe_type
from healthd.waves.spec_findings import Findings

PLACE_KEYS: Final = ("path", "owner", "group", "mode", "backup", "become")
COMMAND_KEYS: Final = ("argv", "shell", "become", "stdin", "okExitCodes")
UPLOAD_KEYS: Final = ("source", "sha256", *PLACE_KEYS)
TEMPLATE_KEYS: Final = ("source", "content", *PLACE_KEYS)
REBOOT_KEYS: Final = ("argv", "become")
HTTP_KEYS: Final = (
    *("method", "url", "body", "contentType", "bearerToken", "okStatuses", "caFile"),
)
ANSIBLE_KEYS: Final = ("playbook", "extraVars", "become")
KAFKA_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    KafkaVerb.MOVE_LEADERS_AWAY: ("limit",),
    KafkaVerb.DESCRIBE_REPLICAS: ("expectNone",),
}
"""The keys of the verbs that take a mapping of their own; the others take names and values."""
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
OK_STATUSES: Final = (200, 201, 202, 204)
MAX_PARTITIONS: Final = 1_000_000
_MODE: Final = re.compile(r"0?[0-7]{3}")
_OWNER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}\$?|[0-9]{1,10}")

Read = tuple[StepKind, Action | None]


def parse_action(key: str, value: object, at: Location, found: Findings) -> Read | None:
    """What a step with this key does, or None with what is wrong.

    Args:
        key: the action's key.
        value: what stands there.
        at: where.
        found: takes the problems.
    """
    before = len(found.problems)
    verbs = STEP_VERBS.get(key, {})
    if isinstance(value, str) and value in verbs:
        return verbs[value], None
    if key == "service":
        found.add(at, f"{shown(value)} is no known service", f"write one of {', '.join(verbs)}")
        return None
    if key == "waitFor":
        return _wait(value, at, found)
    if key == "prompt":
        question = Part(data={}, at=at, found=found).text_of(value)
        return None if question is None else (StepKind.PROMPT, PromptAction(question=question))
    if key == "command" and not isinstance(value, Mapping):
        argv = _plain_argv(value, at, found)
        read: Read = StepKind.COMMAND, CommandAction(argv=argv)
    elif key == "kafka" and not isinstance(value, Mapping):
        found.add(at, f"{shown(value)} is no known kafka", f"write one of {_KAFKA_WORDS}")
        return None
    elif not isinstance(value, Mapping):
        message = f"must be a mapping, not {describe_type(value)}"
        found.add(at, message, f"write {{{_EXAMPLES[key]}}}")
        return None
    else:
        kind, reader = _READERS[key]
        action = reader(Part(data=value, at=at, found=found))
        if action is None:
            return None
        read = kind, action
    return None if len(found.problems) > before else read


def _wait(value: object, at: Location, found: Findings) -> Read | None:
    if isinstance(value, str):
        message = f"{shown(value)} is no known waitFor"
        found.add(at, message, "write left, back, a check or a list of checks")
        return None
    before = len(found.problems)
    until = parse_checks(value, at, found)
    return None if len(found.problems) > before else (StepKind.WAIT, WaitAction(until=until))


def _plain_argv(value: object, at: Location, found: Findings) -> tuple[str, ...]:
    if isinstance(value, str):
        found.add(
            at,
            "is one text; no shell takes it apart",
            "write [PROGRAM, ARGUMENT, ...], or {shell: TEXT} when it has to be a shell",
            code="shell-string",
        )
        return ()
    return Part(data={}, at=at, found=found).argv(value)


def _command(part: Part) -> Action | None:
    part.keys(COMMAND_KEYS)
    if part.has("argv") == part.has("shell"):
        part.add("needs argv, or shell", "write exactly one of the two")
        return None
    is_shell = part.has("shell")
    if is_shell:
        text = part.text("shell")
        argv: tuple[str, ...] = () if text is None else (text,)
    else:
        argv = part.argv(part.data["argv"], "argv")
    return CommandAction(
        argv=argv,
        become=part.flag("become"),
        shell=is_shell,
        stdin=_variable(part, "stdin"),
        ok_exit_codes=part.wholes("okExitCodes", (0,), 0, MAX_EXIT),
    )


def _variable(part: Part, key: str) -> str | None:
    """The name of a variable, without ``${}``."""
    text = part.text(key)
    if text is not None and not VARIABLE_NAME.fullmatch(text):
        part.add("is no variable's name; it is not shown here", "write the name alone", key)
        return None
    return text


def _place(part: Part) -> FilePlace:
    mode = part.text("mode") or "0644"
    if not has_variables(mode) and not _MODE.fullmatch(mode):
        part.add("is no file mode", 'write three octal digits in quotes: "0644"', "mode")
    owners = {}
    for key in ("owner", "group"):
        owners[key] = text = part.text(key)
        if text is not None and not has_variables(text) and not _OWNER.fullmatch(text):
            part.add(f"is no name of {key}", "write a name of the host, such as kafka", key)
    return FilePlace(
        path=path_of(part, "path") or "",
        owner=owners["owner"],
        group=owners["group"],
        mode=mode,
        backup=part.flag("backup", default=True),
        become=part.flag("become"),
    )


def _source(part: Part, key: str) -> str:
    """A path relative to the playbook's file, that stays in its folder."""
    text = part.text(key, required=True)
    if text is None:
        return ""
    if has_variables(text):
        message = "names a variable: nobody could say beforehand which file is sent"
        part.add(message, "name the file itself; a template's content may have variables", key)
    elif text.startswith(("/", "~")) or ".." in text.split("/"):
        message = "leads out of the playbook's folder"
        part.add(message, "put the file beside the playbook and write its name", key)
    return text


def _upload(part: Part) -> Action:
    part.keys(UPLOAD_KEYS)
    return UploadAction(place=_place(part), source=_source(part, "source"), sha256=sha256_of(part))


def _template(part: Part) -> Action | None:
    part.keys(TEMPLATE_KEYS)
    place = _place(part)
    if part.has("source") == part.has("content"):
        part.add("needs source, or content", "write exactly one of the two")
        return None
    if part.has("content"):
        return TemplateAction(place=place, template=part.text("content") or "", is_inline=True)
    return TemplateAction(place=place, template=_source(part, "source"))


def _reboot(part: Part) -> Action:
    part.keys(REBOOT_KEYS)
    become = part.flag("become")
    if not part.has("argv"):
        return RebootAction(become=become)
    return RebootAction(reboot_argv=part.argv(part.data["argv"], "argv"), become=become)


def _http(part: Part) -> Action:
    part.keys(HTTP_KEYS)
    method = part.text("method") or "GET"
    if method not in METHODS:
        part.add(f"{shown(method)} is no method", f"write one of {', '.join(METHODS)}", "method")
    return HttpAction(
        method=method,
        http_url=url_of(part, "url") or "",
        body=part.text("body"),
        content_type=part.text("contentType") or "application/json",
        bearer_token=_variable(part, "bearerToken"),
        ok_statuses=part.wholes("okStatuses", OK_STATUSES, MIN_STATUS, MAX_STATUS),
        http_ca_file=part.text("caFile"),
    )


def _ansible(part: Part) -> Action:
    part.keys(ANSIBLE_KEYS)
    extra = part.values(part.data["extraVars"], "extraVars") if part.has("extraVars") else ()
    return AnsibleAction(
        ansible_playbook=_source(part, "playbook"),
        extra_vars=extra,
        become=part.flag("become"),
    )


def _kafka(part: Part) -> Action | None:
    part.keys([verb.value for verb in KafkaVerb])
    verbs = [verb for verb in KafkaVerb if verb.value in part.data]
    if len(verbs) != 1:
        if verbs or not part.data:
            part.add("must ask for exactly one thing", f"write one of {_KAFKA_WORDS}")
        return None
    verb = verbs[0]
    value: Any = part.data[verb.value]
    if verb not in KAFKA_KEYS:
        values = part.values(value, verb.value)
        if verb is KafkaVerb.SET_FEATURE and len(values) > 1:
            part.add("has more than one feature", "write a step for each", verb.value)
        return KafkaAction(verb=verb, values=values)
    if not isinstance(value, Mapping):
        message = f"must be a mapping, not {describe_type(value)}"
        part.add(message, f"write {{}}, or one with {KAFKA_KEYS[verb][0]}", verb.value)
        return None
    inner = Part(data=value, at=(*part.at, verb.value), found=part.found)
    inner.keys(KAFKA_KEYS[verb])
    return KafkaAction(
        verb=verb,
        limit=inner.whole("limit", 1000, 1, MAX_PARTITIONS),
        expect_none=inner.flag("expectNone"),
    )


_READERS: Final[Mapping[str, tuple[StepKind, Callable[[Part], Action | None]]]] = {
    "command": (StepKind.COMMAND, _command),
    "upload": (StepKind.UPLOAD, _upload),
    "template": (StepKind.TEMPLATE, _template),
    "reboot": (StepKind.REBOOT, _reboot),
    "kafka": (StepKind.KAFKA, _kafka),
    "http": (StepKind.HTTP, _http),
    "ansible": (StepKind.ANSIBLE, _ansible),
}
_EXAMPLES: Final[Mapping[str, str]] = {
    "upload": "source: FILE, path: PATH",
    "template": "source: FILE, path: PATH",
    "reboot": "",
    "http": "method: GET, url: URL",
    "ansible": "playbook: FILE",
}
_KAFKA_WORDS: Final = ", ".join(["electPreferredLeaders", *KafkaVerb])
