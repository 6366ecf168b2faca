"""Hypothesis on a machine that other work shares: an example that is slow is no failure."""

import os

from hypothesis import HealthCheck, Phase, settings

settings.register_profile(
    "shared_machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "mutants",  # The same few examples for every mutant, so that a score can be repeated.
    settings.get_profile("shared_machine"),
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
)
settings.load_profile(os.environ.get("HEALTHD_HYPOTHESIS_PROFILE", "shared_machine"))
