"""Named tokens: each order carries the name that its token proves, and its roles."""

from collections.abc import Callable, Mapping
from pathlib import Path

import structlog

from healthd.config.problems import ConfigError
from healthd.config.tokens_file import TokenHolder, load_tokens
from healthd.serve.auth import Person, TokenAuth, TokenFileError, file_identity

log = structlog.get_logger(__name__)


class NamedTokensAuth:
    """The tokens of a tokens file; notices when the file, or a token, is replaced or removed.

    A tokens file that becomes faulty changes nothing until it is good again; a single token file
    that is gone or readable by others is refused at once.

    Args:
        path: The tokens file.
        token_of: Makes what knows one token; for tests.

    Raises:
        TokenFileError: The tokens file or a token in it cannot be used.
    """

    def __init__(self, path: Path, token_of: Callable[[Path], TokenAuth] = TokenAuth) -> None:
        self._path = path
        self._token_of = token_of
        self._seen = file_identity(path)
        try:
            self._tokens = self._load()
        except ConfigError as error:
            raise TokenFileError("\n".join(str(each) for each in error.problems)) from error

    def person_of(self, authorization: str | None) -> Person | None:
        """The one whose token it is; None as well when two have the same."""
        self._refresh()
        found = [
            Person(name=holder.name, roles=holder.roles)
            for holder, token in self._tokens.items()
            if token.accepts(authorization)
        ]
        if len(found) > 1:
            # Whose order it is could not be told apart.
            log.warning("token_refused", reason=f"{found[0].name} and {found[1].name} share one")
        return found[0] if len(found) == 1 else None

    def _load(self) -> Mapping[TokenHolder, TokenAuth]:
        return {holder: self._token_of(holder.file) for holder in load_tokens(self._path)}

    def _refresh(self) -> None:
        identity = file_identity(self._path)
        if identity == self._seen:
            return
        self._seen = identity
        try:
            self._tokens = self._load()
        except (ConfigError, TokenFileError) as error:
            log.warning("tokens_file_refused", reason=str(error))
        else:
            log.info("tokens_file_read", path=str(self._path), holders=len(self._tokens))
