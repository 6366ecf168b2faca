"""Who gets a cluster's lease: the rule that every store follows, without any I/O."""

from dataclasses import replace

from healthd.store.errors import FencedOut
from healthd.store.records import Fence, Lease, LeaseHeld


def decide(
    current: Lease | None, *, last_token: int, request: Lease, now: float
) -> Lease | LeaseHeld:
    """The lease as it is granted, or who holds it.

    Args:
        current: The cluster's lease that was not released, if any.
        last_token: The highest token that was ever given for the cluster; 0 for none.
        request: The lease that is asked for; its token and `since` are filled in here.
        now: Unix seconds.
    """
    token = last_token + 1
    if current is None:
        return replace(request, token=token, since=now, took_over=None)
    if (current.instance, current.wave_id) == (request.instance, request.wave_id):
        return replace(request, token=token, since=current.since, took_over=None)
    if current.expires_at <= now:
        # The former holder may be half-way through a broker: whoever comes next must look first.
        took_over = None if current.wave_id == request.wave_id else current.wave_id
        return replace(request, token=token, since=now, took_over=took_over)
    return LeaseHeld(
        cluster=current.cluster,
        instance=current.instance,
        holder=current.holder,
        wave_id=current.wave_id,
        since=current.since,
        expires_at=current.expires_at,
    )


def require(fence: Fence, current: Lease | None, *, wave_id: str | None = None) -> Lease:
    """The lease that the fence proves.

    An expired lease that nobody has taken still counts: a stopped broker's start must not be
    refused because the daemon was slow. The token decides, never the clock.

    Args:
        fence: What the writer presents.
        current: The cluster's lease that was not released, if any.
        wave_id: The wave that writes; a lease of another wave does not cover it.

    Raises:
        FencedOut: The token is not the current one, or the lease is another wave's.
    """
    if current is None or current.token != fence.token:
        now_held = "nobody" if current is None else f"{current.holder} for wave {current.wave_id}"
        raise FencedOut(
            f"the lease of cluster {fence.cluster} with token {fence.token} is over, "
            f"{now_held} holds it now",
            where=f"cluster {fence.cluster}",
            todo="stop driving the cluster, take the lease again and observe before acting",
        )
    if wave_id is not None and current.wave_id != wave_id:
        raise FencedOut(
            f"the lease of cluster {fence.cluster} belongs to wave {current.wave_id}",
            where=f"cluster {fence.cluster}",
            todo=f"wave {wave_id} has to take the lease before it writes",
        )
    return current
