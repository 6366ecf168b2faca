"""Why there is no connection; nothing was sent then."""

from healthd.execute.protocol import ExecKind


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
