"""kafka-python's client, made to say why it cannot connect.

Its bootstrap tries again until its limit and then says only that it ran out of time; what each
attempt died of is in its log. Here the last reason is kept, and who has refused our credentials is
not tried again: wrong passwords lock accounts.

With `wire` this is all that touches kafka-python's connection manager, which has no public name.
"""

import logging
import ssl
import time
import warnings
from typing import Any, Final

from healthd.collect.failing import AccessError
from healthd.collect.target import ClusterTarget
from healthd.collect.tokens import TokenSource

with warnings.catch_warnings():
    # It reads its protocol's schemas with a function that Python 3.11 calls deprecated.
    warnings.simplefilter("ignore", DeprecationWarning)
    from kafka import KafkaAdminClient
    from kafka import errors as kafka_errors
    from kafka.net.compat import KafkaNetClient
    from kafka.net.manager import KafkaConnectionManager
    from kafka.net.sasl.oauth import AbstractTokenProvider
    from kafka.net.selector import NetworkSelector

REFUSALS: Final = (
    kafka_errors.SaslAuthenticationFailedError,
    kafka_errors.UnsupportedSaslMechanismError,
    AccessError,
)
"""What stays as it is however often one tries."""

_CATCH_UP_TURNS: Final = 1000
"""More than ever follow from what came between two calls; no answer is waited for in them."""


def tls_error(error: BaseException) -> ssl.SSLError | None:
    """The TLS error that an error is, or was made of; None when it is about something else."""
    if isinstance(error, ssl.SSLError):
        return error
    inner = error.args[0] if error.args else None
    return inner if isinstance(inner, ssl.SSLError) else None


class _Provider(AbstractTokenProvider):  # type: ignore[misc]  # The library ships no types.
    def __init__(self, tokens: TokenSource) -> None:
        super().__init__()
        self._tokens = tokens

    def token(self) -> str:
        return self._tokens.token().value


def _with_last_words(transport: Any) -> Any:
    """The transport, handing over what it read right before the connection ended.

    kafka-python 3.0.12 throws it away: a broker that refuses a password answers and hangs up, and
    where both arrive together the answer would be lost, and with it the reason.
    """
    receive = transport._sock_recv  # noqa: SLF001  # See the module.
    ends: list[Exception] = []

    def received() -> tuple[bytes, Exception | None]:
        if ends:
            return b"", ends[0]
        data, error = receive()
        if data and error is not None:
            ends.append(error)
            return data, None
        return data, error

    transport._sock_recv = received  # noqa: SLF001  # See the module.
    return transport


class _Manager(KafkaConnectionManager):  # type: ignore[misc]  # As above.
    telling_error: Exception | None = None
    """The last TLS error or refusal that a connection died of; silence tells nothing."""

    def __init__(self, net: Any, **configs: Any) -> None:
        super().__init__(net, **configs)
        self._refused_by: set[Any] = set()

    def get_connection(self, node_id: Any, **options: Any) -> Any:
        if not self.bootstrapped:
            self._give_up(node_id)
        connection = super().get_connection(node_id, **options)
        connection.init_future.add_errback(lambda error: self._note(node_id, error))
        return connection

    def _give_up(self, node_id: Any) -> None:
        """Raise when nobody is left to try, or when this one has refused us already."""
        everybody = {server.node_id for server in self.cluster.bootstrap_brokers()}
        has_none = isinstance(self.telling_error, AccessError)
        if self.telling_error is not None and (has_none or everybody <= self._refused_by):
            raise self.telling_error
        if node_id in self._refused_by:
            raise kafka_errors.NodeNotReadyError(node_id)

    async def _build_transport(self, node: Any, timeout_at: Any = None) -> Any:
        try:
            return _with_last_words(await super()._build_transport(node, timeout_at=timeout_at))
        except kafka_errors.KafkaConnectionError as error:
            # It puts the text of the TLS error into its own, and loses what kind it was.
            if isinstance(error.__context__, ssl.SSLError):
                raise error.__context__ from None
            raise

    def _note(self, node_id: Any, error: Exception) -> None:
        found = tls_error(error) or error
        if isinstance(found, (ssl.SSLError, *REFUSALS)):
            self.telling_error = found
        if isinstance(found, REFUSALS):
            self._refused_by.add(node_id)


class CallersLoop(NetworkSelector):  # type: ignore[misc]  # As above.
    """The library's event loop, run by whoever asks and not by a thread of its own.

    Each of our clients is used by one thread, which waits for its answer anyway. A second one would
    only be woken for each piece that arrives: with a hundred clusters those were 300 threads that
    took the interpreter from each other, and from the answers to HTTP.
    """

    def start(self) -> None:
        """Nothing: `run` drives the loop until its work is done."""

    def run(self, coro: Any, *args: Any) -> Any:
        """See the base class."""
        self._catch_up()
        return super().run(coro, *args)

    def _catch_up(self) -> None:
        """Take in what came since the last call, before anything is sent.

        A connection that the other side has closed must not be given a request, and what arrived
        in time is read before its limit is looked at: the loop takes reads first, then timers.
        """
        for _ in range(_CATCH_UP_TURNS):
            self._poll_once(0)
            until_next = self._next_scheduled_timeout(time.monotonic())
            if not self._ready and (until_next is None or until_next > 0):
                return


class _NetClient(KafkaNetClient):  # type: ignore[misc]  # As above.
    def __init__(self, **configs: Any) -> None:
        # Its statistics of each connection are read by nobody, and cost as much as the connection.
        configs["metrics"] = None
        net = CallersLoop(**configs)
        super().__init__(net=net, manager=_Manager(net, **configs))


class Client(KafkaAdminClient):  # type: ignore[misc]  # As above.
    """An admin client that leaves nothing behind when nobody answers, and says why."""

    # The public constructor refuses this option, though it hands all others to the manager: a
    # frozen broker accepts connections and would cost its 10 s.
    DEFAULT_CONFIG: Final = {
        **KafkaAdminClient.DEFAULT_CONFIG,
        "socket_connection_setup_timeout_ms": 2000,
        "socket_connection_setup_timeout_max_ms": 2000,
    }

    def __init__(self, **configs: Any) -> None:
        try:
            super().__init__(kafka_client=_NetClient, **configs)
        except BaseException as error:
            if not hasattr(self, "_net"):
                raise
            # It leaves its sockets open when nobody answers: a cluster that is down would cost some
            # a round. `close` does nothing without this flag.
            self._closed = False
            self.close()
            telling = self._manager.telling_error
            if isinstance(error, kafka_errors.KafkaTimeoutError) and telling is not None:
                raise telling from None
            raise

    @property
    def manager(self) -> Any:
        """The connection manager."""
        return self._manager

    @property
    def broker_count(self) -> int:
        """How many brokers it knows of, one at least."""
        return max(1, len(self._manager.cluster.brokers()))


def connected(target: ClusterTarget, *, bootstrap_seconds: float) -> Client:
    """A client that has found the brokers.

    Raises:
        AccessError: something on our own side cannot be used.
        kafka.errors.KafkaError, OSError, ValueError: nobody let us in; TLS errors and refusals of
            our credentials as they are, and not as the time-out that they end in.
    """
    # Its retries are ours to judge: what fails becomes a SourceFailure, once.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    access = target.access
    settings = access.kafka_python_config()
    if access.tokens is not None:
        # Asked here once: why there is none is told at once, and not after a bootstrap.
        access.tokens.token()
        settings["sasl_oauth_token_provider"] = _Provider(access.tokens)
    return Client(
        bootstrap_servers=list(target.bootstrap_servers),
        client_id="healthd",
        request_timeout_ms=round(target.attempt_seconds * 1000),
        bootstrap_timeout_ms=round(bootstrap_seconds * 1000),
        reconnect_backoff_max_ms=2000,
        metadata_max_age_ms=30_000,
        **settings,
    )
