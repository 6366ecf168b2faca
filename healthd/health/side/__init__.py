"""Pure: what further sources found, from their sections in the snapshot's `extra`."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from healthd.health.checks import Finding
from healthd.health.side import certificates, connectors, ensemble, mirrors, probe, registry

SectionFindings = Callable[[Mapping[str, Any], int], Iterator[Finding]]
"""The findings of one section; the number is how many objects are named. A section may have been
stored by another version: what does not fit is passed over, never raised."""

SECTION_FINDINGS: Final[Mapping[str, SectionFindings]] = {
    "certificates": certificates.findings,
    "connectors": connectors.findings,
    "mirrors": mirrors.findings,
    "probe": probe.findings,
    "schemaRegistry": registry.findings,
    "zookeeper": ensemble.findings,
}
"""By the section's name."""


def section_findings(
    extra: Mapping[str, Mapping[str, Any]] | None, shown: int
) -> Iterator[Finding]:
    """The findings of every section that is known."""
    for name, findings_of in SECTION_FINDINGS.items():
        section = (extra or {}).get(name)
        if section is not None:
            yield from findings_of(section, shown)
