"""docs/configure.md keeps up: every key is in it, and its examples are good files."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from healthd.config import fleet_schema
from healthd.config.checkers import check_file
from healthd.config.settings import SETTING_KEYS
from healthd.waves.cron import KEYS as SCHEDULE_KEYS
from healthd.waves.policy import POLICY_KEYS
from healthd.waves.spec import WAVE_KEYS
from healthd.waves.spec_stage import STAGE_KEYS

DOCS = (Path(__file__).parents[3] / "docs" / "configure.md").read_text()
EXAMPLES = {
    section.partition("\n")[0]: example
    for section in re.split(r"^##+ ", DOCS, flags=re.MULTILINE)
    for example in re.findall(r"```yaml\n(.*?)```", section, flags=re.DOTALL)
}
"""By the heading that they stand under."""
MODELS: list[type[BaseModel]] = [
    model
    for model in vars(fleet_schema).values()
    if isinstance(model, type) and issubclass(model, BaseModel)
]
FLEET_KEYS = {field.alias for model in MODELS for field in model.model_fields.values()}


@pytest.mark.parametrize(
    "key",
    sorted(
        {
            *SETTING_KEYS,
            *POLICY_KEYS,
            *STAGE_KEYS,
            *SCHEDULE_KEYS,
            *WAVE_KEYS,
            *map(str, FLEET_KEYS),
        }
    ),
)
def test_every_key_is_documented(key: str) -> None:
    assert re.search(rf"[`\s{{]{key}[`:]", DOCS), f"{key} is not in docs/configure.md"


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES.keys())
def test_the_examples_are_good_files(tmp_path: Path, example: str) -> None:
    for folder in ("secrets", "tls"):
        (tmp_path / folder).mkdir()
    for name in re.findall(r"\b(?:secrets|tls)/[\w.-]+", example):
        (tmp_path / name).touch(mode=0o600)
    file = tmp_path / "example.yaml"
    file.write_text(example)
    assert check_file(file).problems == ()
