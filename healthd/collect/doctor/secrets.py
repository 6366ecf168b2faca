"""Whether the programs that print a cluster's secrets do so, asked once each."""

import asyncio

from healthd.collect.doctor.findings import DoctorFinding, Outcome
from healthd.collect.secret_threads import in_secret_thread
from healthd.config.fleet import ClusterConfig
from healthd.config.problems import ConfigError
from healthd.config.secret_fields import programs_in
from healthd.config.secrets import SecretRef


async def secret_findings(config: ClusterConfig | None) -> tuple[DoctorFinding, ...]:
    """One for each secret of the fleet file that a program prints; trouble is in them."""
    return tuple(await asyncio.gather(*map(_asked, programs_in(config))))


async def _asked(reference: SecretRef) -> DoctorFinding:
    try:
        # What it gives is dropped: here it counts only that it is there.
        await in_secret_thread(reference.read, runs_program=True)
    except ConfigError as error:
        (problem,) = error.problems
        return DoctorFinding(
            source="secrets",
            subject=reference.place,
            outcome=Outcome.FAILED,
            detail=f"{problem.message} -> {problem.action}.",
        )
    return DoctorFinding(source="secrets", subject=reference.place, outcome=Outcome.ALLOWED)
