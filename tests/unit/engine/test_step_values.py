"""The secrets of a step: each read once, whatever becomes of it meanwhile."""

from pathlib import Path

import pytest

from healthd.config.secrets import SecretRef
from healthd.engine.step_host import StepEnds
from healthd.engine.step_values import StepValues
from healthd.waves.events import Outcome


def values(file: Path) -> StepValues:
    return StepValues(texts={}, references={"password": SecretRef(file=file)})


def written(file: Path, text: str) -> Path:
    file.write_text(text)
    file.chmod(0o600)
    return file


async def test_what_a_step_is_given_is_what_is_struck_out(tmp_path: Path) -> None:
    file = written(tmp_path / "password", "first\n")
    found = values(file)
    assert await found.struck_out() == ("first",)
    written(file, "second\n")
    assert await found.secret("password") == "first"
    assert await found.all_secrets() == {"password": "first"}
    assert await values(file).secret("password") == "second"
    assert "first" not in repr(found)


async def test_what_could_not_be_struck_out_is_not_used(tmp_path: Path) -> None:
    found = values(tmp_path / "password")
    assert await found.struck_out() == ()
    written(tmp_path / "password", "late\n")
    for _ in range(2):
        with pytest.raises(StepEnds, match=r"the secret password: .*cannot be read") as caught:
            await found.secret("password")
        assert caught.value.outcome is Outcome.NOT_SENT
