"""Follows a profile: a thread keeps what it resolves to, by long polling.

What was answered last is kept and goes on to count while no healthd answers: a monitor that is
away must take nobody's cluster away.
"""

import contextlib
import json
import logging
import os
import random
import ssl
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from healthd.client.asking import Asker, Token
from healthd.client.route import Member, ResolveError, Route, choose, parse_route, route_json

log = logging.getLogger("healthd.client")

LONGEST_WAIT_SECONDS: Final = 60.0
"""What healthd lets a client wait."""
_CLOSE_SECONDS: Final = 2.0
_AFTER_ANSWER_SECONDS: Final = 0.5
"""Clients that were all answered at once ask again within this time, not all at once."""
_AT_ONCE_SECONDS: Final = 1.0
"""Something between healthd and us that answers 304 sooner than this does not wait."""
_MOST_DOUBLINGS: Final = 16

Listener = Callable[[Route], None]


class ProfileResolver:
    """Knows what a profile resolves to now.

    Args:
        profile: The profile's name in healthd's fleet file.
        urls: One healthd or several that watch the same fleet; one is taken by chance, another
            when it does not answer.
        client_id: Tells this client from the others where a cluster takes only a share of them;
            give one that survives a restart (a pod's name), else it is drawn.
        token_file: The file whose first line is the daemon's token.
        token_variable: The environment variable that holds it.
        ca_file: Certificates to trust for https, instead of the system's.
        ssl_context: For https, instead of `ca_file` (client certificates).
        wait_seconds: How long one question waits for a change, 60 at most.
        timeout_seconds: How long connecting, and an answer beyond its wait, may take.
        retry_seconds: The first and the longest pause between two failed questions; each is drawn
            between half of it and the whole.
        cache_file: Keeps the last answer for a start while no healthd answers.

    Raises:
        ValueError: An argument is none; says which.
    """

    def __init__(
        self,
        profile: str,
        urls: str | Sequence[str],
        *,
        client_id: str | None = None,
        token_file: str | os.PathLike[str] | None = None,
        token_variable: str | None = None,
        ca_file: str | os.PathLike[str] | None = None,
        ssl_context: ssl.SSLContext | None = None,
        wait_seconds: float = 30.0,
        timeout_seconds: float = 5.0,
        retry_seconds: tuple[float, float] = (0.5, 30.0),
        cache_file: str | os.PathLike[str] | None = None,
    ) -> None:
        if not 0 < wait_seconds <= LONGEST_WAIT_SECONDS:
            raise ValueError(f"wait_seconds: must be above 0 and at most {LONGEST_WAIT_SECONDS:g}")
        self.profile = profile
        self.client_id = client_id or uuid.uuid4().hex
        named = [urls] if isinstance(urls, str) else list(urls)
        if not named or not profile:
            raise ValueError("needs a profile and at least one URL of a healthd")
        token = Token(
            file=None if token_file is None else Path(token_file), variable=token_variable
        )
        if ssl_context is None and any(url.startswith("https:") for url in named):
            ssl_context = ssl.create_default_context(cafile=ca_file)
        self._askers = [
            Asker(url, profile, token=token, context=ssl_context, timeout_seconds=timeout_seconds)
            for url in named
        ]
        # Clients spread over the daemons, and not all over the first one.
        random.shuffle(self._askers)
        self._wait_seconds = wait_seconds
        self._retry_seconds = retry_seconds
        self._cache_file = None if cache_file is None else Path(cache_file)
        self._changed = threading.Condition()
        self._over = threading.Event()
        self._route: Route | None = None
        self._member: Member | None = None
        self._error: ResolveError | None = None
        self._heard_at = float("-inf")
        self._listeners: list[Listener] = []
        self._thread: threading.Thread | None = None

    @property
    def route(self) -> Route | None:
        """What the profile resolved to last; None before the first answer."""
        return self._route

    @property
    def member(self) -> Member | None:
        """The cluster that this client should use; None: keep what you have."""
        return self._member

    @property
    def error(self) -> ResolveError | None:
        """Why the last question had no answer; None when it had one."""
        return self._error

    @property
    def silent_seconds(self) -> float:
        """For how long no healthd has answered (infinite: never)."""
        return time.monotonic() - self._heard_at

    def start(self) -> Self:
        """Begin to ask; what a cache file holds counts from here on."""
        if self._thread is None:
            self._read_cache()
            self._thread = threading.Thread(
                target=self._run, name=f"healthd-{self.profile}", daemon=True
            )
            self._thread.start()
        return self

    def close(self) -> None:
        """Ask no more; what is known stays."""
        self._over.set()
        for asker in self._askers:
            asker.interrupt()
        with self._changed:
            self._changed.notify_all()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(_CLOSE_SECONDS)

    def wait(self, timeout_seconds: float = 10.0) -> Route:
        """The route, as soon as there is one.

        Raises:
            ResolveError: There was none in time; says what was the matter.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._route is not None or self._over.is_set(), timeout_seconds
            )
            if self._route is not None:
                return self._route
            reason = self._error or f"no answer within {timeout_seconds:g} s"
        raise ResolveError(f"the profile {self.profile} could not be resolved: {reason}")

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Have a function called with every new route; what is returned ends that.

        It is called at once with the route that is known, and by the resolver's thread with those
        that follow: it must be short. What it raises is logged and does no harm.
        """
        with self._changed:
            self._listeners.append(listener)
            route = self._route
        if route is not None:
            _tell(listener, route)

        def unsubscribe() -> None:
            with self._changed, contextlib.suppress(ValueError):
                self._listeners.remove(listener)

        return unsubscribe

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

    def _run(self) -> None:
        failures = 0
        at = 0
        while not self._over.is_set():
            # Waits that began at one moment must not end at one moment.
            wait_seconds = self._wait_seconds * random.uniform(0.8, 1.0)
            began = time.monotonic()
            try:
                route = self._askers[at].ask(self._etag(), wait_seconds)
            except ResolveError as error:
                if self._over.is_set():
                    break
                failures += 1
                self._failed(error)
                at = (at + 1) % len(self._askers)
                # The others are asked at once; when all have failed there is a pause.
                if failures % len(self._askers) == 0:
                    self._over.wait(self._pause(failures // len(self._askers)))
                continue
            failures = 0
            self._heard(route)
            if route is not None:
                self._over.wait(random.uniform(0.0, _AFTER_ANSWER_SECONDS))
            elif time.monotonic() - began < min(_AT_ONCE_SECONDS, wait_seconds / 2):
                self._over.wait(self._pause(1))
        for asker in self._askers:
            asker.close()

    def _etag(self) -> str:
        return "" if self._route is None else self._route.etag

    def _pause(self, failures: int) -> float:
        first, longest = self._retry_seconds
        whole = min(longest, first * 2.0 ** min(failures - 1, _MOST_DOUBLINGS))
        return random.uniform(whole / 2, whole)

    def _failed(self, error: ResolveError) -> None:
        is_news = self._error is None
        self._error = error
        if is_news:
            log.warning("profile %s: %s; going on with what is known", self.profile, error)
        with self._changed:
            self._changed.notify_all()

    def _heard(self, route: Route | None) -> None:
        self._heard_at = time.monotonic()
        if self._error is not None:
            log.info("profile %s: healthd answers again", self.profile)
            self._error = None
        if route is None:
            return
        with self._changed:
            before, self._route = self._route, route
            # Chosen once for each answer: consumers ask with every message.
            self._member = choose(route, self.client_id)
            listeners = tuple(self._listeners)
            self._changed.notify_all()
        if before is None or before.members != route.members or before.order != route.order:
            used = [f"{m.cluster} {m.verdict} {m.weight_percent:g} %" for m in route.members]
            log.info("profile %s: %s", self.profile, ", ".join(used) or "no cluster")
            self._write_cache(route)
            for listener in listeners:
                _tell(listener, route)

    def _read_cache(self) -> None:
        if self._cache_file is None:
            return
        try:
            # Without a tag: the first question is answered at once, whatever it resolves to now.
            route = parse_route(self._cache_file.read_bytes())
        except FileNotFoundError:
            return
        except (OSError, ResolveError) as error:
            log.warning("%s: the last answer cannot be used: %s", self._cache_file, error)
            return
        if route.profile == self.profile:
            with self._changed:
                self._route, self._member = route, choose(route, self.client_id)

    def _write_cache(self, route: Route) -> None:
        if self._cache_file is None:
            return
        beside = self._cache_file.with_name(f"{self._cache_file.name}.{os.getpid()}.new")
        try:
            beside.write_text(json.dumps(route_json(route)), "utf-8")
            beside.replace(self._cache_file)
        except OSError as error:
            log.warning("%s: the answer cannot be kept: %s", self._cache_file, error)


def _tell(listener: Listener, route: Route) -> None:
    try:
        listener(route)
    except Exception:
        # The edge to code that is not ours: it must not end the thread that follows the profile.
        log.exception("a listener to the profile %s failed", route.profile)
