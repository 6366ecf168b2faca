"""Space that is kept on the disk for the writes which must not fail once a broker is stopped."""

import os
from pathlib import Path

from healthd.store.errors import StoreFull
from healthd.store.files import FILE_MODE


class Reserve:
    """A file of really allocated blocks that is given up when the disk is full.

    posix_fallocate takes the blocks now (a sparse file would keep nothing). On file systems that
    write every change to a new place (btrfs, ZFS) the freed blocks may come back late; there a
    quota or a reservation of the file system itself is the better way.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size_bytes = 0

    def take(self, size_bytes: int) -> None:
        """Have that many bytes allocated from now on.

        Raises:
            StoreFull: The disk has not got that much.
        """
        self._size_bytes = size_bytes
        try:
            descriptor = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, FILE_MODE)
            try:
                if os.fstat(descriptor).st_size > size_bytes:
                    os.ftruncate(descriptor, size_bytes)
                if size_bytes:
                    os.posix_fallocate(descriptor, 0, size_bytes)
            finally:
                os.close(descriptor)
        except OSError as error:
            # What was half taken is given back: the space is needed elsewhere now.
            self.give_up()
            raise StoreFull(
                f"{size_bytes} bytes cannot be kept free for healthd's state: {error.strerror}",
                where=str(self._path),
                todo="free space on that file system; no broker is stopped until then",
            ) from error

    def give_up(self) -> bool:
        """Free the blocks for the write that needs them; false when there was nothing to free."""
        try:
            had = self._path.stat().st_size
            os.truncate(self._path, 0)
        except OSError:
            return False
        return had > 0

    def is_whole(self) -> bool:
        """Whether every reserved byte is allocated; tries to take it again when it is not."""
        if self._is_allocated():
            return True
        try:
            self.take(self._size_bytes)
        except StoreFull:
            return False
        return True

    def _is_allocated(self) -> bool:
        if self._size_bytes == 0:
            return True
        try:
            found = self._path.stat()
        except OSError:
            return False
        # A copy of the folder may have made the file sparse: st_blocks counts 512-byte units.
        return found.st_size >= self._size_bytes and found.st_blocks * 512 >= self._size_bytes
