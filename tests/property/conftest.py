"""Hypothesis on a machine that other work shares: an example that is slow is no failure."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "shared_machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("shared_machine")
