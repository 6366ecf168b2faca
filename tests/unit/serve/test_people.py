"""Named tokens: who it is, what they may do, and what happens when files change."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from structlog.testing import capture_logs
from support.daemon import InMemoryDaemon

from healthd.config.tokens_file import Role
from healthd.serve.app import create_app
from healthd.serve.auth import SHARED, TokenAuth, TokenFileError
from healthd.serve.people import NamedTokensAuth

TOKENS = {name: f"{name}-token-of-some-length" for name in ("anna", "ben", "prometheus")}
ROLES = {"anna": "[operator]", "ben": "[approver]", "prometheus": "[reader]"}


def bearer(name: str) -> str:
    return f"Bearer {TOKENS[name]}"


def write_tokens(folder: Path, names: tuple[str, ...] = ("anna", "ben", "prometheus")) -> Path:
    for name in names:
        file = folder / name
        file.write_text(TOKENS[name])
        file.chmod(0o600)
    listed = "".join(
        f"  - {{name: {name}, roles: {ROLES[name]}, tokenFile: {name}}}\n" for name in names
    )
    path = folder / "new"
    path.write_text(f"apiVersion: healthd/v1\nkind: Tokens\ntokens:\n{listed}")
    return path.replace(folder / "tokens.yaml")


@pytest.fixture
def tokens_file(tmp_path: Path) -> Path:
    return write_tokens(tmp_path)


@pytest.fixture
async def people(daemon: InMemoryDaemon, tokens_file: Path) -> AsyncIterator[httpx2.AsyncClient]:
    """Whoever names a token of the file; reads are not open."""
    app = create_app(daemon, NamedTokensAuth(tokens_file), open_reads=False)
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://healthd") as client:
        yield client


def test_a_token_proves_its_owners_name_and_roles(tokens_file: Path) -> None:
    anna = NamedTokensAuth(tokens_file).person_of(bearer("anna"))
    assert anna is not None
    assert (anna.name, anna.roles, anna.is_proven) == ("anna", frozenset({Role.OPERATOR}), True)


def test_the_shared_token_may_everything_and_proves_nobody(token_file: Path) -> None:
    auth = TokenAuth(token_file)
    person = auth.person_of(f"Bearer {token_file.read_text().strip()}")
    assert person is SHARED
    assert not SHARED.is_proven
    assert all(SHARED.may(role) for role in Role)


@pytest.mark.parametrize("header", [None, "", "Bearer nobody-has-this-token", "Basic x"])
def test_nobody_is_recognised_without_a_token(tokens_file: Path, header: str | None) -> None:
    assert NamedTokensAuth(tokens_file).person_of(header) is None


def test_a_token_that_two_have_is_nobodys(tokens_file: Path) -> None:
    (tokens_file.parent / "ben").write_text(TOKENS["anna"])
    auth = NamedTokensAuth(tokens_file)
    with capture_logs() as logs:
        assert auth.person_of(bearer("anna")) is None
    assert logs[0]["event"] == "token_refused"
    assert TOKENS["anna"] not in str(logs)


def test_a_person_who_is_taken_off_the_file_is_refused_at_once(tokens_file: Path) -> None:
    auth = NamedTokensAuth(tokens_file)
    assert auth.person_of(bearer("ben")) is not None
    write_tokens(tokens_file.parent, ("anna",))
    assert auth.person_of(bearer("ben")) is None
    assert auth.person_of(bearer("anna")) is not None


def test_a_tokens_file_that_became_faulty_keeps_the_last_good_one(tokens_file: Path) -> None:
    auth = NamedTokensAuth(tokens_file)
    tokens_file.write_text("kind: Tokens\n")
    with capture_logs() as logs:
        assert auth.person_of(bearer("anna")) is not None
        assert auth.person_of(bearer("anna")) is not None
    assert [entry["event"] for entry in logs] == ["tokens_file_refused"]


@pytest.mark.parametrize("trouble", ["missing", "readable"])
def test_a_start_with_a_token_that_protects_nothing_is_refused(
    tokens_file: Path, trouble: str
) -> None:
    token = tokens_file.parent / "ben"
    if trouble == "missing":
        token.unlink()
    else:
        token.chmod(0o644)
    with pytest.raises(TokenFileError, match=str(token)):
        NamedTokensAuth(tokens_file)


def test_a_start_with_a_faulty_tokens_file_is_refused(tokens_file: Path) -> None:
    tokens_file.write_text("kind: Tokens\n")
    with pytest.raises(TokenFileError, match="tokens is missing"):
        NamedTokensAuth(tokens_file)


async def mute(people: httpx2.AsyncClient, name: str, **headers: str) -> httpx2.Response:
    body = {"cluster": "payments", "check": "DISK_HIGH", "seconds": 60, "reason": "moving disks"}
    return await people.post(
        "/api/v1/mutes",
        json=body | {"evenIfNotRaised": True},
        headers={"Authorization": bearer(name), **headers},
    )


@pytest.mark.parametrize("name", ["prometheus", "ben"])
async def test_an_order_without_the_role_for_it_is_forbidden(
    people: httpx2.AsyncClient, name: str
) -> None:
    answer = await mute(people, name)
    assert answer.status_code == 403
    assert answer.json()["type"] == "urn:healthd:problem:forbidden"
    assert "needs the role operator" in answer.json()["detail"]


@pytest.mark.parametrize("name", ["anna", "ben", "prometheus"])
async def test_every_role_may_read(people: httpx2.AsyncClient, name: str) -> None:
    answer = await people.get("/api/v1/clusters", headers={"Authorization": bearer(name)})
    assert answer.status_code == 200
    assert (await people.get("/api/v1/clusters")).status_code == 401


async def test_an_operator_may_not_do_what_a_second_person_has_to(
    people: httpx2.AsyncClient,
) -> None:
    for path in ("approve", "override"):
        answer = await people.post(
            f"/api/v1/waves/some/{path}", json={}, headers={"Authorization": bearer("anna")}
        )
        assert answer.status_code == 403
        assert "needs the role approver" in answer.json()["detail"]


async def test_the_name_of_the_token_goes_over_the_name_that_is_claimed(
    people: httpx2.AsyncClient, daemon: InMemoryDaemon
) -> None:
    answer = await mute(people, "anna", **{"X-Healthd-User": "ben"})
    assert answer.status_code == 201, answer.text
    assert answer.json()["owner"] == "anna"
