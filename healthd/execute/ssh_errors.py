"""Why there is no connection, and in which words."""

import errno
from typing import Final

from healthd.execute.protocol import ExecKind, Target

_ENDED: Final = frozenset(
    {errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED, errno.ESHUTDOWN, errno.ENOTCONN}
)


class ConnectError(Exception):
    """No connection, and nothing was sent; the kind and the sentence for the outcome."""

    def __init__(self, kind: ExecKind, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail


class HungError(ConnectError):
    """The host had begun to answer and went silent: the next attempt may hang as well."""


class NoSuchKeyError(ConnectError):
    """The host has no key of the kinds that it was asked for."""


def no_server(target: Target) -> str:
    """The beginning of a sentence that says why."""
    return f"{target.address}:{target.port} does not answer as an SSH server"


def is_end(error: BaseException | None) -> bool:
    """Whether the other side has ended the connection, in whichever way that shows.

    Whether a host that closes is seen to end the connection or to reset it depends on what was on
    its way at that moment: both are one thing, and have one sentence.

    Args:
        error: What the library or the kernel says; None for an end without a word.
    """
    if isinstance(error, OSError):
        return error.errno in _ENDED
    return error is None or isinstance(error, EOFError)


def reason_of(error: BaseException | None) -> str:
    """Why a connection has failed, in words; as for `is_end`."""
    if is_end(error):
        return "it ended the connection"
    words = error.strerror if isinstance(error, OSError) else None
    return words or str(error) or type(error).__name__
