"""Access tokens for SASL OAUTHBEARER, from a token endpoint of OpenID Connect.

Both Kafka clients ask here, on threads of their own and whenever they connect. A token is fetched
once for all of them, on a thread that nobody waits for longer than a limit, and again before it
expires; while the endpoint is away the old one goes on being given until its end. A failure is
remembered for a moment, for a client that tries again and again must not hammer an endpoint that
counts wrong secrets and locks the account.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final

from healthd.collect.failing import AccessError
from healthd.collect.observation import FailureReason

REFRESH_AT: Final = 0.75
"""Share of its life after which a token is fetched anew: librdkafka asks at four fifths."""

RETRY_SECONDS: Final = 5.0
"""A failure is given again for so long before the endpoint is asked again."""

WAIT_SECONDS: Final = 2.0
"""What a client waits for a token at most, as for an answer of a broker."""

OWN_SIDE: Final = "the client secret's program or file"
ENDPOINT: Final = "the token endpoint"


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """An access token."""

    value: str = field(repr=False)
    fetched_at: float
    """Monotonic seconds."""
    life_seconds: float

    def left(self, now: float) -> float:
        """Seconds until it expires."""
        return self.fetched_at + self.life_seconds - now


class TokenSource:
    """The current token of one client at one endpoint; safe to use from any thread.

    Args:
        fetch: Gets a token and its life in seconds, or raises `AccessError`; may take a while.
        wait_seconds: What `token` waits for it at most.
        monotonic: Seconds on a clock that never jumps.
    """

    def __init__(
        self,
        fetch: Callable[[], tuple[str, float]],
        *,
        wait_seconds: float = WAIT_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch = fetch
        self._wait = wait_seconds
        self._clock = monotonic
        self._lock = threading.Lock()
        self._token: Token | None = None
        self._failure: tuple[AccessError, float] | None = None
        self._pending: Future[Token] | None = None
        self._awaited = ENDPOINT

    def awaiting(self, what: str) -> None:
        """Say what a token is waited for from now on: who is late is named in the failure."""
        self._awaited = what

    @property
    def last_failure(self) -> AccessError | None:
        """Why the last attempt gave no token, though the one before may still serve."""
        found = self._failure
        return None if found is None else found[0]

    @property
    def failure(self) -> AccessError | None:
        """Why there is no token now; None while there is one, or nobody has asked."""
        with self._lock:
            current, found = self._token, self._failure
        if found is None or (current is not None and current.left(self._clock()) > 0):
            return None
        return found[0]

    def token(self) -> Token:
        """A token that has not expired, fetched when none is at hand that will do.

        Raises:
            AccessError: There is none; says why, and shows no secret.
        """
        with self._lock:
            now = self._clock()
            current = self._token
            alive = current is not None and current.left(now) > 0
            if current is not None and current.left(now) > (1 - REFRESH_AT) * current.life_seconds:
                return current
            failure = self._failure
            if failure is not None and now - failure[1] < RETRY_SECONDS and self._pending is None:
                if alive and current is not None:
                    return current
                raise failure[0]
            pending = self._pending or self._begin()
        try:
            return pending.result(self._wait)
        except TimeoutError:
            error = AccessError(
                FailureReason.TIMEOUT, f"{self._awaited} gave nothing within {self._wait:g} s"
            )
            with self._lock:
                if self._pending is pending:
                    self._failure = (error, self._clock())
        except AccessError as refused:
            error = refused
        if alive and current is not None and current.left(self._clock()) > 0:
            return current
        raise error

    def _begin(self) -> Future[Token]:
        """Fetch on a thread of its own, and let go of it should it never come back."""
        pending: Future[Token] = Future()
        self._pending = pending
        threading.Thread(
            target=self._run, args=(pending,), name="healthd-token", daemon=True
        ).start()
        return pending

    def _run(self, pending: Future[Token]) -> None:
        began = self._clock()
        try:
            value, life = self._fetch()
        except AccessError as error:
            self._done(None, error)
            pending.set_exception(error)
        except Exception as error:  # noqa: BLE001  # The edge of a thread: nobody may wait in vain.
            # Its text might hold what was sent.
            failed = AccessError(
                FailureReason.PROTOCOL, f"no token could be fetched ({type(error).__name__})"
            )
            self._done(None, failed)
            pending.set_exception(failed)
        else:
            token = Token(value=value, fetched_at=began, life_seconds=life)
            self._done(token, None)
            pending.set_result(token)

    def _done(self, token: Token | None, error: AccessError | None) -> None:
        with self._lock:
            self._pending = None
            self._failure = None if error is None else (error, self._clock())
            if token is not None:
                self._token = token
