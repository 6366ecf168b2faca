"""Which playbooks may be run: a list of their digests, as `sha256sum` writes one."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from healthd.config.problems import ConfigError, Problem
from healthd.config.yaml_source import read_bytes, too_large

MAX_BYTES: Final = 1_000_000
_LINE: Final = re.compile(r"([0-9a-fA-F]{64})(?:\s+\*?(\S+))?")


def playbook_file_digest(file_sha256: str, files: Iterable[tuple[str, str]]) -> str:
    """The digest of a playbook: of its file, and of the files that its steps send.

    Without such files it is the SHA-256 of the file itself; with them that of a text with one line
    for each, ``SHA256  NAME``, the playbook's own first and without a name.
    """
    others = sorted(files)
    if not others:
        return file_sha256
    lines = [file_sha256, *(f"{digest}  {name}" for name, digest in others)]
    return sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class DigestList:
    """The digests that are allowed."""

    file: str
    names: Mapping[str, frozenset[str]]
    """By digest: the names that it is allowed under; none at all means under every name."""

    @classmethod
    def read(cls, path: Path) -> "DigestList":
        """The list in a file.

        Raises:
            ConfigError: it cannot be read, or a line is no digest: then nothing is allowed.
        """
        try:
            content = read_bytes(path, MAX_BYTES)
        except OSError as error:
            message = f"the list of allowed playbooks cannot be read: {error.strerror or error}"
            action = "let healthd's user read it, or correct playbookDigests"
            problem = Problem(file=str(path), message=message, action=action)
            raise ConfigError([problem]) from error
        if content is None:
            raise ConfigError([too_large(str(path), MAX_BYTES)])
        return cls._parsed(content.decode("utf-8", "replace"), str(path))

    @classmethod
    def _parsed(cls, text: str, file: str) -> "DigestList":
        names: dict[str, frozenset[str]] = {}
        problems: list[Problem] = []
        for number, line in enumerate(text.splitlines(), start=1):
            plain = line.partition("#")[0].strip()
            if not plain:
                continue
            match = _LINE.fullmatch(plain)
            if match is None:
                message, action = "is no digest", "write SHA256  NAME, as healthd playbook digest"
                problems.append(
                    Problem(file=file, line=number, column=1, message=message, action=action)
                )
                continue
            digest, name = match[1].lower(), match[2]
            known = names.get(digest)
            if name is None or known == frozenset():
                names[digest] = frozenset()
            else:
                names[digest] = (known or frozenset()) | {_plain_name(name)}
        if problems:
            raise ConfigError(problems)
        return cls(file=file, names=names)

    def allows(self, digest: str, name: str) -> bool:
        """Whether a playbook of that name and digest may be run."""
        names = self.names.get(digest)
        return names is not None and (not names or name in names)

    def require(self, digest: str, name: str, path: str) -> None:
        """Nothing.

        Raises:
            ConfigError: the playbook is not allowed.
        """
        if self.allows(digest, name):
            return
        message = f"the playbook {name} is not allowed: {self.file} has no digest {digest} for it"
        action = f"look through the playbook, then add the line: {digest}  {name}"
        raise ConfigError([Problem(file=path, message=message, action=action)])


def _plain_name(name: str) -> str:
    """``rolling-restart`` for ``playbooks/rolling-restart.yaml``, which sha256sum writes."""
    return name.rpartition("/")[2].removesuffix(".yaml")
