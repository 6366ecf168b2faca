"""The state folder: where each file is, who may read it, and the id of its instance."""

import os
import stat
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from healthd.store.errors import StoreUnusable

FOLDER_MODE: Final = 0o700
FILE_MODE: Final = 0o600


@dataclass(frozen=True, slots=True)
class StateFiles:
    """The files of one state folder."""

    folder: Path

    @property
    def database(self) -> Path:
        """The state file."""
        return self.folder / "healthd.db"

    @property
    def side_files(self) -> tuple[Path, ...]:
        """What SQLite keeps beside the state file while it is open."""
        return tuple(self.folder / f"healthd.db{suffix}" for suffix in ("-wal", "-shm"))

    @property
    def reserve(self) -> Path:
        """The space that is kept for the writes which must not fail."""
        return self.folder / "healthd.reserve"

    @property
    def lock(self) -> Path:
        """The file that the running daemon holds a lock on."""
        return self.folder / "healthd.lock"

    @property
    def instance(self) -> Path:
        """The id that this folder's daemon keeps over restarts."""
        return self.folder / "instance-id"


def prepare_folder(folder: Path) -> StateFiles:
    """The folder's files, with the folder made or tightened to its owner alone.

    A folder that is there already and holds other people's files (`--state-dir /tmp`) keeps its
    mode; the files inside are for their owner alone in any case.

    Raises:
        StoreUnusable: The folder cannot be made or entered.
    """
    files = StateFiles(folder)
    try:
        if not folder.exists():
            folder.mkdir(mode=FOLDER_MODE, parents=True)
        is_ours = files.database.exists() or not any(folder.iterdir())
        mode = folder.stat()
        if is_ours and mode.st_uid == os.geteuid() and stat.S_IMODE(mode.st_mode) != FOLDER_MODE:
            folder.chmod(FOLDER_MODE)
        for path in (files.database, *files.side_files):
            if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
                path.chmod(FILE_MODE)
    except OSError as error:
        raise StoreUnusable(
            f"the state folder cannot be used: {error.strerror}",
            where=str(folder),
            todo="name a folder that healthd's user may write to with --state-dir",
        ) from error
    return files


def create_private(path: Path) -> None:
    """Make an empty file for its owner alone, unless it is there; SQLite's files inherit this."""
    os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, FILE_MODE))


def instance_id(files: StateFiles) -> str:
    """The id of the daemon that lives in this folder, made up at its first start.

    It tells a restarted daemon, which may take its own lease back at once, from another one.

    Raises:
        StoreUnusable: The file can be neither read nor written.
    """
    try:
        if files.instance.exists():
            kept = files.instance.read_text("ascii").strip()
            if kept:
                return kept
        made = uuid.uuid4().hex
        temporary = files.instance.with_suffix(".new")
        create_private(temporary)
        temporary.write_text(f"{made}\n", "ascii")
        temporary.replace(files.instance)
    except (OSError, UnicodeDecodeError) as error:
        raise StoreUnusable(
            f"the instance id can be neither read nor written: {error}",
            where=str(files.instance),
            todo="remove the file (no daemon may be running) and start again",
        ) from error
    return made


def sync_folder(folder: Path) -> None:
    """Have the folder's entries on disk: a rename is durable only then."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
