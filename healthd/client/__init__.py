"""Clients of Kafka that follow a connection profile; needs nothing of the daemon.

`ProfileResolver` needs the standard library only; `FailoverProducer` and `FailoverConsumer` (in
`healthd.client.producer` and `.consumer`) need confluent-kafka beside it. See docs/clients.md.
"""

from healthd.client.resolver import ProfileResolver
from healthd.client.route import Member, ResolveError, Route, choose

__all__ = ["Member", "ProfileResolver", "ResolveError", "Route", "choose"]
