"""What an examination says of the programs that print a cluster's secrets."""

from __future__ import annotations

from pathlib import Path

from healthd.collect.doctor.findings import Outcome
from healthd.collect.doctor.secrets import secret_findings
from healthd.config.fleet import ClusterConfig, SecurityConfig
from healthd.config.secrets import SecretRef


def program(folder: Path, name: str, text: str) -> SecretRef:
    file = folder / name
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o700)
    return SecretRef(command=(str(file),), place=f"cluster payments: security.{name}")


async def test_each_program_is_a_finding_and_what_it_printed_in_none(tmp_path: Path) -> None:
    security = SecurityConfig(
        password=program(tmp_path, "passwordCommand", "echo s3cr3t; echo s3cr3t >&2; exit 3"),
        key_password=program(tmp_path, "keyPasswordCommand", "echo s3cr3t"),
    )
    config = ClusterConfig(name="payments", bootstrap_servers=("b1:1",), security=security)
    found = {finding.subject: finding for finding in await secret_findings(config)}
    failed = found["cluster payments: security.passwordCommand"]
    assert (failed.source, failed.outcome, failed.is_problem) == ("secrets", Outcome.FAILED, True)
    assert failed.detail.startswith(f"the program {tmp_path}/passwordCommand ended with 3 -> ")
    well = found["cluster payments: security.keyPasswordCommand"]
    assert (well.outcome, well.detail) == (Outcome.ALLOWED, "")
    assert len(found) == 2
    assert "s3cr3t" not in repr(found)


async def test_without_a_program_there_is_nothing_to_say(tmp_path: Path) -> None:
    security = SecurityConfig(password=SecretRef(file=tmp_path / "password"))
    config = ClusterConfig(name="payments", bootstrap_servers=("b1:1",), security=security)
    assert await secret_findings(config) == ()
    assert await secret_findings(None) == ()
