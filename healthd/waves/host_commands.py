"""The commands that steps of a playbook run on a host, as words: the one place that knows them.

What is performed and what a sudoers file has to allow are made from the same functions. All of them
are programs of GNU coreutils with arguments that are known before the step runs; under ``sudo -n``
only the program itself runs, never a shell.
"""

from dataclasses import dataclass
from posixpath import basename, dirname, join
from typing import Final

from healthd.waves.playbook_steps import (
    Check,
    CommandAction,
    CommandCheck,
    FileCheck,
    FilePlace,
    RebootAction,
    TemplateAction,
    UploadAction,
)

SUDO: Final = ("sudo", "-n", "--")
"""Asks nobody for a password; where one is wanted it ends at once."""
BACKUP: Final = ".healthd-bak"
_NEW: Final = ".healthd-new"
LOOK: Final = "%f:%u:%g:%U:%G:%s"
"""What `stat` tells of a file: its mode in hexadecimal, owner and group, and its size."""
BOOT_ID_FILE: Final = "/proc/sys/kernel/random/boot_id"
READ_BOOT_ID: Final = ("cat", BOOT_ID_FILE)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostCommand:
    """A program with its arguments, as one user or as root."""

    argv: tuple[str, ...]
    become: bool = False

    @property
    def words(self) -> tuple[str, ...]:
        """What is sent to the host."""
        return (*SUDO, *self.argv) if self.become else self.argv


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacingCommands:
    """What puts one file in place: written beside it, proven, then renamed."""

    place: FilePlace

    @property
    def new(self) -> str:
        """The file beside the target that becomes it by one rename."""
        folder, name = dirname(self.place.path), basename(self.place.path)
        return join(folder, f".{name}{_NEW}")

    @property
    def backup(self) -> str:
        """Where what was there before is kept."""
        return self.place.path + BACKUP

    def look(self, path: str) -> HostCommand:
        """Whether a file is there, and how it lies there; links are not followed."""
        return look(path, become=self.place.become)

    def digest(self, path: str) -> HostCommand:
        """The SHA-256 of a file."""
        return digest(path, become=self.place.become)

    def keep(self) -> HostCommand:
        """Copy what is there, with owner and mode; not through a link that stands in the way."""
        return self._run("cp", "-p", "-T", "--remove-destination", "--", self.place.path, self.new)

    def kept(self) -> HostCommand:
        """Let the copy be the backup."""
        return self._run("mv", "-f", "-T", "--", self.new, self.backup)

    def write(self) -> HostCommand:
        """Write standard input; nobody else may read it before it has its owner and mode."""
        owner = () if self.place.owner is None else ("-o", self.place.owner)
        group = () if self.place.group is None else ("-g", self.place.group)
        mode = ("-m", self.place.mode)
        return self._run("install", *owner, *group, *mode, "-T", "--", "/dev/stdin", self.new)

    def flush(self) -> HostCommand:
        """Have the content on the disk before the rename is."""
        return self._run("sync", "--", self.new)

    def put(self) -> HostCommand:
        """The rename: from now on the target is the new file."""
        return self._run("mv", "-f", "-T", "--", self.new, self.place.path)

    def flush_folder(self) -> HostCommand:
        """Have the rename on the disk."""
        return self._run("sync", "--", dirname(self.place.path) or ".")

    def drop(self) -> HostCommand:
        """Remove what was written half."""
        return self._run("rm", "-f", "--", self.new)

    def all(self) -> tuple[HostCommand, ...]:
        """Every command that placing the file may take."""
        path = self.place.path
        kept = (self.keep(), self.kept()) if self.place.backup else ()
        return (
            self.look(path),
            self.digest(path),
            *kept,
            self.write(),
            self.digest(self.new),
            self.look(self.new),
            self.flush(),
            self.put(),
            self.flush_folder(),
            self.drop(),
        )

    def _run(self, *argv: str) -> HostCommand:
        return HostCommand(argv=argv, become=self.place.become)


def look(path: str, *, become: bool) -> HostCommand:
    """What tells whether a file is there, and how it lies there."""
    return HostCommand(argv=("stat", "-c", LOOK, "--", path), become=become)


def digest(path: str, *, become: bool) -> HostCommand:
    """What tells the SHA-256 of a file."""
    return HostCommand(argv=("sha256sum", "--", path), become=become)


def piped(command: HostCommand) -> tuple[str, ...]:
    """The command, reading what is sent over a pipe: `/dev/stdin` cannot be opened as a socket."""
    return ("sh", "-c", 'cat | "$@"', "healthd", *command.words)


def argv_of(action: CommandAction) -> tuple[str, ...]:
    """The program of a command step; only one that asks for a shell by its name gets one."""
    return ("/bin/sh", "-c", *action.argv) if action.shell else action.argv


def host_commands_of(action: object, checks: tuple[Check, ...] = ()) -> tuple[HostCommand, ...]:
    """Every command that a step runs on the host, each once; healthd's own bookkeeping apart.

    Args:
        action: what the step does, filled in as far as it is known; None for none.
        checks: its `onlyIf`, `verify` and `observe`, and what a `waitFor` waits for.
    """
    found: list[HostCommand] = []
    match action:
        case CommandAction():
            found.append(HostCommand(argv=argv_of(action), become=action.become))
        case UploadAction() | TemplateAction():
            found.extend(PlacingCommands(place=action.place).all())
        case RebootAction():
            found.append(HostCommand(argv=READ_BOOT_ID))
            found.append(HostCommand(argv=action.reboot_argv, become=action.become))
    for check in checks:
        match check:
            case CommandCheck():
                found.append(HostCommand(argv=check.command, become=check.become))
            case FileCheck():
                found.append(look(check.file, become=check.become))
                if check.sha256 is not None:
                    found.append(digest(check.file, become=check.become))
    return tuple(dict.fromkeys(found))
