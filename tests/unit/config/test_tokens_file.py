"""The tokens file: who is in it, and every mistake with its place."""

from pathlib import Path

import pytest

from healthd.config.checkers import check_file
from healthd.config.problems import ConfigError
from healthd.config.tokens_file import Role, load_tokens

HEAD = "apiVersion: healthd/v1\nkind: Tokens\ntokens:\n"
ANNA = "  - {name: anna, roles: [operator], tokenFile: tokens/anna}\n"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "tokens.yaml"
    path.write_text(text)
    return path


def test_each_holder_has_a_name_roles_and_a_file_beside_the_tokens_file(tmp_path: Path) -> None:
    path = written(
        tmp_path, HEAD + ANNA + "  - {name: ben, roles: [operator, approver], tokenFile: /t/ben}\n"
    )
    anna, ben = load_tokens(path)
    assert (anna.name, anna.roles) == ("anna", frozenset({Role.OPERATOR}))
    assert anna.file == tmp_path / "tokens" / "anna"
    assert ben.roles == {Role.OPERATOR, Role.APPROVER}
    assert ben.file == Path("/t/ben")
    assert check_file(path).problems == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(HEAD.replace("tokens:\n", "tokens: []\n"), "3:9: tokens: is empty", id="none"),
        pytest.param(
            HEAD + ANNA.replace("[operator]", "[]"), "4:25: tokens[0].roles: is empty", id="no role"
        ),
        pytest.param(
            HEAD + ANNA.replace("operator", "admin"), "4:26: tokens[0].roles[0]: must be reader",
            id="an unknown role",
        ),
        pytest.param(
            HEAD + ANNA.replace("tokenFile: tokens/anna", "token: s3cret-s3cret-s3cret"),
            "4:37: tokens[0].token: token is a secret in clear",
            id="the token itself",
        ),
        pytest.param(
            HEAD + ANNA + ANNA.replace("tokens/anna", "tokens/other"),
            "5:12: tokens[1].name: anna is there twice",
            id="a name twice",
        ),
        pytest.param(
            HEAD + ANNA + ANNA.replace("name: anna", "name: ben"),
            "5:47: tokens[1].tokenFile: tokens/anna is there twice",
            id="one token for two",
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as refused:
        load_tokens(path)
    (problem,) = refused.value.problems
    assert said in str(problem)
    assert "s3cret" not in str(problem)
    assert [str(each) for each in check_file(path).problems] == [str(problem)]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be opened"):
        load_tokens(tmp_path / "gone.yaml")
