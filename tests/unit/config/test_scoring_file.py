"""Scoring profile files: what may be changed, and what is refused."""

from dataclasses import replace
from pathlib import Path

import pytest

from healthd.config.fleet_file import load_fleet
from healthd.config.problems import ConfigError
from healthd.config.schema import keys_at
from healthd.config.scoring_file import SCORING_MODEL, SECTIONS, load_scoring
from healthd.health.scoring import DEFAULT

NUMBERS = [key for name in SECTIONS for key in keys_at(SCORING_MODEL, (name,))]
HEAD = "apiVersion: healthd/v1\nkind: ScoringProfile\nname: strict\nversion: '3'\n"


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def problems_of(path: Path) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        load_scoring(path)
    return [str(problem).removeprefix(str(path)) for problem in refused.value.problems]


def test_a_file_changes_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    text = HEAD + "weights: {partitions: 50, brokers: 10}\nchecks: {churnLeaves: 5}\n"
    profile = load_scoring(written(tmp_path / "s.yaml", text))
    assert (profile.name, profile.version) == ("strict", "3")
    assert (profile.weights.partitions, profile.weights.brokers) == (50, 10)
    assert profile.weights.controller == DEFAULT.weights.controller
    assert profile.checks.churn_leaves == 5
    assert profile.caps == DEFAULT.caps
    assert profile.hash != DEFAULT.hash


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            HEAD + "weights: {partitions: 50}\n",
            (
                ":5:10: weights: they add up to 105; they must add up to 100"
                " -> change one of these numbers"
            ),
        ),
        (
            HEAD + "caps: {diskHighFromRatio: 0.97}\n",
            (
                ":5:7: caps: diskHighFromRatio (0.97) must be at most diskCriticalFromRatio (0.95)"
                " -> change one of these numbers"
            ),
        ),
        (
            HEAD + "severities: {idleFromRatio: 0}\n",
            ":5:29: severities.idleFromRatio: 0 must be above 0 -> change one of these numbers",
        ),
        (
            HEAD + "caps: {internalTopic: -1}\n",
            ":5:23: caps.internalTopic: must be at least 0 -> choose a value in that range",
        ),
        (
            HEAD + "checks: {churnLeaves: 2.5}\n",
            (
                ":5:23: checks.churnLeaves: must be a whole number, not a number"
                " -> write a plain whole number"
            ),
        ),
        (
            HEAD.replace("strict", "default"),
            ":3:7: name: must be a plain name other than default -> choose a name such as strict",
        ),
        (
            HEAD.replace("version: '3'\n", ""),
            ":1:1: version: version is missing -> add version",
        ),
    ],
)
def test_a_contradiction_is_refused_where_it_stands(tmp_path: Path, text: str, told: str) -> None:
    assert problems_of(written(tmp_path / "s.yaml", text)) == [told]


def test_numbers_that_are_no_matter_of_taste_cannot_be_changed(tmp_path: Path) -> None:
    for text in ("bands: {tolerance: 1}", "checks: {objectsShown: 50}"):
        (problem,) = problems_of(written(tmp_path / "s.yaml", HEAD + text))
        assert "unknown key" in problem


FLEET = """\
apiVersion: healthd/v1
kind: Fleet
scoringProfile: strict.yaml
clusters:
  - name: a
    bootstrapServers: ["a.example.net:9092"]
  - name: b
    bootstrapServers: ["b.example.net:9092"]
    scoringProfile: lax.yaml
"""


def test_a_cluster_uses_its_own_profile_else_the_fleets_else_the_built_in(tmp_path: Path) -> None:
    written(tmp_path / "strict.yaml", HEAD)
    written(tmp_path / "lax.yaml", HEAD.replace("strict", "lax"))
    fleet = load_fleet(written(tmp_path / "fleet.yaml", FLEET))
    assert [cluster.scoring.name for cluster in fleet.clusters] == ["strict", "lax"]
    plain = FLEET.replace("scoringProfile: strict.yaml\n", "")
    fleet = load_fleet(written(tmp_path / "fleet.yaml", plain))
    assert [cluster.scoring.name for cluster in fleet.clusters] == ["default", "lax"]


def test_a_bad_profile_is_a_problem_of_the_fleet_told_once_where_it_stands(tmp_path: Path) -> None:
    written(tmp_path / "strict.yaml", HEAD + "weights: {partitions: 50}\n")
    both = FLEET.replace("lax.yaml", "strict.yaml")
    with pytest.raises(ConfigError) as refused:
        load_fleet(written(tmp_path / "fleet.yaml", both))
    (problem,) = refused.value.problems
    assert (Path(problem.file).name, problem.line) == ("strict.yaml", 5)


def test_a_profile_that_is_not_there_is_a_problem_of_the_line_that_names_it(tmp_path: Path) -> None:
    written(tmp_path / "strict.yaml", HEAD)
    with pytest.raises(ConfigError) as refused:
        load_fleet(written(tmp_path / "fleet.yaml", FLEET))
    (problem,) = refused.value.problems
    assert (problem.line, problem.path) == (9, "clusters[1].scoringProfile")
    assert "lax.yaml cannot be opened" in problem.message


def test_two_tenants_of_one_name_are_refused(tmp_path: Path) -> None:
    tenants = "    tenants: [{name: x, topics: [a]}, {name: x, topics: [b]}]\n"
    text = FLEET.replace("scoringProfile: strict.yaml\n", "").replace(
        "    scoringProfile: lax.yaml\n", tenants
    )
    with pytest.raises(ConfigError) as refused:
        load_fleet(written(tmp_path / "fleet.yaml", text))
    assert "duplicate tenant x" in refused.value.problems[0].message


ROOT = Path(__file__).parents[3]


def test_the_example_file_holds_every_number_with_its_default() -> None:
    example = load_scoring(ROOT / "config" / "scoring.example.yaml")
    assert replace(example, name=DEFAULT.name, version=DEFAULT.version) == DEFAULT
    text = (ROOT / "config" / "scoring.example.yaml").read_text()
    assert [key for key in NUMBERS if f"  {key}: " not in text] == []


def test_every_number_is_in_the_documentation() -> None:
    text = (ROOT / "docs" / "scoring.md").read_text()
    assert [key for key in NUMBERS if f"`{key}`" not in text] == []
