"""Traps in the commands of a playbook: what a shell would have understood, and what is dangerous.

Nothing here keeps a playbook from being run; `healthd playbook lint` shows it to whoever writes
one. What an argument holds is never repeated: it may be a password.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from healthd.waves.playbook_steps import Variable, VariableType
from healthd.waves.playbook_texts import names_in, without_variables
from healthd.waves.problems import Location, SpecProblem

_OPERATORS: Final = frozenset({"|", "||", "&", "&&", ";", ">", ">>", "<", "<<", "2>", "2>&1", "&>"})
_REDIRECT: Final = re.compile(r"[012&]?>{1,2}\s*[&/.\w]")
_SUBSTITUTION: Final = re.compile(r"\$\(|`|\$[A-Z_][A-Z0-9_]+")
_BARE: Final = re.compile(r"\$(\w+)")
_GLOB: Final = re.compile(r"/[^\s]*[*?]|\[[^\]]+\]\*|/\{[^}]*,[^}]*\}")
_OPTION_AND_VALUE: Final = re.compile(r"--?[A-Za-z][A-Za-z0-9-]*\s+\S.*")
_SECRET: Final = re.compile(
    r"(?i)(?:^|[^a-z])(?:password|passwd|passphrase|pass(?=:)|secret|token|api[-_]?key)[=:](.+)",
    re.DOTALL,
)
_SECRET_OPTION: Final = re.compile(
    r"(?i)--?(?:\w+[-.])*(?:password|passwd|passphrase|secret|token)"
)
_KAFKA: Final = re.compile(
    r"(?:\S*/)?(?:confluent-|cp-)?(?:kafka|zookeeper)(?:-server|-broker)?"
    r"(?:[@_-]?(?:[0-9]+|\$\{[^}]*\}))?(?:\.service)?"
)
_SERVICE_VERBS: Final = frozenset(
    {"stop", "start", "restart", "try-restart", "reload-or-restart", "kill", "condrestart"}
)
_KILLERS: Final = frozenset({"kill", "pkill", "killall", "kafka-server-stop", "kafka-server-start"})
_REBOOTS: Final = frozenset({"reboot", "shutdown", "poweroff", "halt", "telinit"})
_SHELLS: Final = frozenset({"sh", "bash", "dash", "zsh", "ksh"})
_OWN_LANGUAGE: Final = frozenset({"awk", "gawk", "mawk", "sed", "perl", "python3", "jq", "find"})
"""Programs whose arguments have signs of a shell with another meaning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Argv:
    """One command of a playbook, and where it stands."""

    at: Location
    words: tuple[str, ...]
    is_check: bool
    is_shell: bool = False
    """The one word is a text for a shell."""

    @property
    def program(self) -> str:
        """The program's name without its folder."""
        return self.words[0].rpartition("/")[2] if self.words else ""

    @property
    def script(self) -> int | None:
        """Which word is a text for a shell; None when none is."""
        if self.is_shell:
            return 0
        if self.program in _SHELLS:
            for at, word in enumerate(self.words[1:-1], start=1):
                if re.fullmatch(r"-[a-z]*c", word):
                    return at + 1
        return None


def command_findings(steps: object, variables: Iterable[Variable]) -> Iterator[SpecProblem]:
    """What looks wrong in the commands of a playbook.

    Args:
        steps: the rows of the file; those that are none are left out.
        variables: what the playbook declares.
    """
    variables = tuple(variables)
    loose = {each.name for each in variables if _may_be_anything(each)}
    names = {each.name for each in variables}
    for argv in argvs_in(steps):
        if argv.words:
            yield from _program(argv)
            yield from _words(argv, names)
            yield from _script(argv, loose)
            yield from _secrets(argv)
            yield from _behind_the_back(argv)


def _may_be_anything(variable: Variable) -> bool:
    is_text = variable.type is VariableType.STRING
    return is_text and variable.pattern is None and not variable.one_of


def argvs_in(steps: object) -> Iterator[Argv]:
    """Every command of the rows, those of checks too."""
    for at, row in enumerate(steps if isinstance(steps, list | tuple) else ()):
        if not isinstance(row, Mapping):
            continue
        here: Location = ("steps", at)
        command = row.get("command")
        if isinstance(command, Mapping):
            yield from _argv(command.get("argv"), (*here, "command", "argv"))
            shell = command.get("shell")
            if isinstance(shell, str):
                where = (*here, "command", "shell")
                yield Argv(at=where, words=(shell,), is_check=False, is_shell=True)
        else:
            yield from _argv(command, (*here, "command"))
        for key in ("waitFor", "onlyIf", "observe", "verify"):
            yield from _checks(row.get(key), (*here, key))


def _checks(value: Any, at: Location) -> Iterator[Argv]:
    if isinstance(value, list | tuple):
        for place, item in enumerate(value):
            yield from _checks(item, (*at, place)) if isinstance(item, Mapping) else ()
    elif isinstance(value, Mapping):
        yield from _argv(value.get("command"), (*at, "command"), is_check=True)


def _argv(value: Any, at: Location, *, is_check: bool = False) -> Iterator[Argv]:
    if isinstance(value, list | tuple):
        words = tuple(item if isinstance(item, str) else "" for item in value)
        yield Argv(at=at, words=words, is_check=is_check)


def _program(argv: Argv) -> Iterator[SpecProblem]:
    if argv.is_shell:
        return
    first = argv.words[0]
    if any(char.isspace() for char in first.strip()):
        message = "the program's name has blanks in it: no shell takes the text apart"
        action = "write each argument as an item of its own: [PROGRAM, ARGUMENT]"
        yield _finding((*argv.at, 0), message, action, "blanks-in-program")
    if argv.program in {"sudo", "doas"}:
        message = f"{argv.program} in the command: it would ask for a password, or run without"
        action = "remove it and write become: true"
        yield _finding((*argv.at, 0), message, action, "sudo-in-command")
    if argv.script is not None and not argv.is_check:
        message = "a shell in the command"
        action = "write the program itself, or command: {shell: TEXT} when it has to be a shell"
        yield _finding((*argv.at, 0), message, action, "shell-in-command")


def _words(argv: Argv, names: set[str]) -> Iterator[SpecProblem]:
    """Signs that only a shell understands."""
    if argv.is_shell:
        return
    script = argv.script
    for at, word in enumerate(argv.words):
        if at == script or (script is not None and at > script):
            continue
        plain, where = without_variables(word, ""), (*argv.at, at)
        if "{{" in plain and "}}" in plain:
            action = "write ${name}; {{ name }} is for templates"
            yield _finding(where, "has {{ }}: it is sent as it is", action, "jinja-in-command")
        is_operator = plain in _OPERATORS or _REDIRECT.match(plain) is not None
        has_own = argv.program in _OWN_LANGUAGE
        if is_operator or (not has_own and _SUBSTITUTION.search(plain)):
            message = "has a sign of the shell: the program gets it as an argument"
            action = "make steps of it, or write command: {shell: TEXT}"
            yield _finding(where, message, action, "shell-sign")
        elif not has_own and (named := names & set(_BARE.findall(plain))):
            message = f"has ${min(named)} without braces: it is sent as it is"
            yield _finding(where, message, f"write ${{{min(named)}}}", "shell-sign")
        elif at and not has_own and _is_pattern(plain):
            message = "has a pattern of file names: nobody expands it"
            action = "name the files, or write command: {shell: TEXT}"
            yield _finding(where, message, action, "pattern-of-files")
        elif at and _OPTION_AND_VALUE.fullmatch(plain) and "=" not in plain.split()[0]:
            message = "is an option and its value in one argument"
            action = "write them as two items, or with = between them"
            yield _finding(where, message, action, "option-with-value")


def _is_pattern(word: str) -> bool:
    return "://" not in word and (word.startswith("~/") or _GLOB.search(word) is not None)


def _script(argv: Argv, loose: set[str]) -> Iterator[SpecProblem]:
    script = argv.script
    if script is None or script >= len(argv.words):
        return
    named = [name for name in names_in(argv.words[script]) if name in loose]
    if named:
        where = argv.at if argv.is_shell else (*argv.at, script)
        message = f"the shell would read whatever {named[0]} is, quotes and semicolons too"
        action = f"give {named[0]} a pattern, or give it as an argument or by stdin"
        yield _finding(where, message, action, "variable-in-shell")


def _secrets(argv: Argv) -> Iterator[SpecProblem]:
    action = "declare a variable of type secret, and give it by stdin or in a template"
    message = "looks like a secret in a command, where every process of the host sees it"
    for at, word in enumerate(argv.words):
        found = _SECRET.search(word)
        is_value = at > 0 and _SECRET_OPTION.fullmatch(argv.words[at - 1]) is not None
        value = found[1] if found else word if is_value else ""
        if value.strip() and not value.startswith(("${", "$", "/", "-", "file:")):
            where = argv.at if argv.is_shell else (*argv.at, at)
            yield _finding(where, message, action, "secret-in-command")


def _behind_the_back(argv: Argv) -> Iterator[SpecProblem]:
    """Orders to the service and the host that nobody would wait for."""
    if argv.is_check:
        return
    texts: Sequence[Sequence[str]] = [argv.words]
    if argv.script is not None:
        script = argv.words[argv.script] if argv.script < len(argv.words) else ""
        texts = [part.split() for part in re.split(r"[;&|\n]+", script)]
    for words in texts:
        plain = [word.rpartition("/")[2].removesuffix(".sh") for word in words]
        if plain and plain[0] in {"sudo", "exec", "nohup", "doas"}:
            plain = plain[1:]
        if not plain:
            continue
        if plain[0] in _REBOOTS or plain[:2] in (["systemctl", "reboot"], ["init", "6"]):
            message = "boots the host anew, or ends it, behind the wave's back"
            action = "write a step reboot: {become: true} between stop and start"
            yield _finding(argv.at, message, action, "reboot-in-command")
        elif _is_service_order(plain):
            message = "stops or starts the service behind the wave's back"
            action = "write service: stop, waitFor: left, service: start and waitFor: back"
            yield _finding(argv.at, message, action, "service-in-command")


def _is_service_order(words: Sequence[str]) -> bool:
    program, others = words[0], words[1:]
    is_kafka = any(_KAFKA.fullmatch(word) for word in others)
    if program in {"kafka-server-stop", "kafka-server-start", "zookeeper-server-stop"}:
        return True
    if program in {"systemctl", "service", "rc-service", "supervisorctl"}:
        return is_kafka and bool(_SERVICE_VERBS & set(others))
    return program in _KILLERS and any("kafka" in word.lower() for word in others)


def _finding(at: Location, message: str, action: str, code: str) -> SpecProblem:
    return SpecProblem(location=at, message=message, action=action, code=code)
