"""The token: where it comes from, when it is accepted, and that it is never shown."""

import stat
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from healthd.serve.auth import ANONYMOUS, TokenAuth, TokenFileError, claimed_user, make_token_file

TOKEN = "a-token-of-some-length"


def test_a_new_token_file_is_private_and_holds_a_token_that_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "token"
    assert make_token_file(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert TokenAuth(path).accepts(f"Bearer {path.read_text().strip()}")


def test_a_token_file_that_is_there_is_never_overwritten(token_file: Path) -> None:
    assert not make_token_file(token_file)
    assert token_file.read_text() == TOKEN + "\n"


def test_a_link_in_place_of_the_token_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "token").symlink_to(tmp_path / "elsewhere")
    assert not make_token_file(tmp_path / "token")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    ("header", "is_accepted"),
    [
        pytest.param(f"Bearer {TOKEN}", True, id="the token"),
        pytest.param(f"bearer {TOKEN}", True, id="schemes have no case"),
        pytest.param(f"Bearer {TOKEN} ", True, id="space at the end"),
        pytest.param(None, False, id="no header"),
        pytest.param("", False, id="empty"),
        pytest.param("Bearer", False, id="no token"),
        pytest.param("Bearer another-token-of-length", False, id="another token"),
        pytest.param(f"Bearer {TOKEN[:-1]}", False, id="a part of it"),
        pytest.param(f"Basic {TOKEN}", False, id="another scheme"),
        pytest.param(TOKEN, False, id="no scheme"),
        pytest.param("Bearer \udcff", False, id="bytes that are no text"),
    ],
)
def test_only_the_bearer_of_the_token_is_accepted(
    token_file: Path, header: str | None, *, is_accepted: bool
) -> None:
    assert TokenAuth(token_file).accepts(header) is is_accepted


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        pytest.param(TOKEN, 0o640, "others can read", id="the group may read"),
        pytest.param(TOKEN, 0o604, "others can read", id="the world may read"),
        pytest.param("", 0o600, "no token", id="empty"),
        pytest.param("short", 0o600, "no token", id="short"),
    ],
)
def test_a_token_file_that_protects_nothing_is_refused_by_name(
    tmp_path: Path, content: str, mode: int, said: str
) -> None:
    path = tmp_path / "token"
    path.write_text(content)
    path.chmod(mode)
    with pytest.raises(TokenFileError, match=said) as refused:
        TokenAuth(path)
    assert str(path) in str(refused.value)
    assert TOKEN not in str(refused.value)


def test_a_token_file_that_is_missing_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(TokenFileError, match="No such file"):
        TokenAuth(tmp_path / "token")


def test_a_replaced_token_takes_effect_at_once_and_is_not_logged(token_file: Path) -> None:
    auth = TokenAuth(token_file)
    new = token_file.with_name("new")
    new.write_text("the-next-token-of-length")
    new.chmod(0o600)
    new.replace(token_file)
    with capture_logs() as logs:
        assert not auth.accepts(f"Bearer {TOKEN}")
        assert auth.accepts("Bearer the-next-token-of-length")
    assert [entry["event"] for entry in logs] == ["token_replaced"]
    assert "the-next-token" not in str(logs)


def test_a_removed_token_is_accepted_no_more(token_file: Path) -> None:
    auth = TokenAuth(token_file)
    token_file.unlink()
    with capture_logs() as logs:
        assert not auth.accepts(f"Bearer {TOKEN}")
        assert not auth.accepts(f"Bearer {TOKEN}")
    assert [entry["event"] for entry in logs] == ["token_refused"]


@pytest.mark.parametrize(
    ("header", "name"),
    [
        pytest.param("ann", "ann", id="a name"),
        pytest.param("  ann  ", "ann", id="spaces around"),
        pytest.param(None, ANONYMOUS, id="none"),
        pytest.param("", ANONYMOUS, id="empty"),
        pytest.param("an\x1b[31mn", "an[31mn", id="no control characters"),
        pytest.param("a" * 500, "a" * 128, id="no more than 128 characters"),
    ],
)
def test_a_claimed_name_is_made_fit_for_the_audit_log(header: str | None, name: str) -> None:
    assert claimed_user(header) == name
