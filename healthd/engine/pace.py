"""How often the engine's own loops turn; tests turn them faster."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Seconds between the turns of what runs on its own."""

    tick_seconds: float = 1.0
    """A wave hears that time has passed; hosts are asked and deadlines kept at this grain."""
    lease_seconds: float = 60.0
    """So long a lease lives without being renewed: a killed daemon's waves wait no longer."""
    renew_seconds: float = 15.0
    """A quarter of the lease, so that two renewals may fail."""
    again_seconds: float = 10.0
    """A wave that cannot be driven now (its lease is another's, its driver broke) tries again."""
    write_again_seconds: float = 5.0
    """What could not be written is tried again; a locked file makes each try wait as long."""
    checkpoint_seconds: float = 60.0
    """The wave clock is written at least so often: a crash gives no deadline more than this."""
