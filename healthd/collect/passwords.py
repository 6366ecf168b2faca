"""The passwords of one cluster, read anew for each client that is made."""

from healthd.collect.failing import AccessError
from healthd.collect.observation import FailureReason
from healthd.config.problems import ConfigError
from healthd.config.secrets import SecretRef


class Password:
    """One password as it is where the fleet file says; it may be read by any thread."""

    def __init__(self, reference: SecretRef) -> None:
        """Read nothing yet.

        Raises:
            ConfigError: it will never be there, as far as that is known without reading.
        """
        reference.expect()
        self._reference = reference
        self.last: str | None = None
        """What was read last; None before that."""

    @property
    def is_printed(self) -> bool:
        """Whether a program has to be run for it."""
        return bool(self._reference.command)

    def read(self) -> str:
        """The password as it is now; blocks while its file is read or its program runs.

        Raises:
            AccessError: it cannot be read; names where it should be, shows no value.
        """
        try:
            self.last = self._reference.read()
        except ConfigError as error:
            raise AccessError(FailureReason.AUTHENTICATION, str(error)) from None
        return self.last
