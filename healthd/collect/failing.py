"""What keeps us from connecting before any broker was asked."""

from healthd.collect.observation import FailureReason


class AccessError(Exception):
    """Our own certificate, key, secret or token cannot be used; never the cluster's fault."""

    def __init__(self, reason: FailureReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        """What, where and what to do; never a secret."""
