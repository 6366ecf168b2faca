"""`security` in the fleet file: which credentials belong to which mode, each mistake by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from healthd.config.fleet_file import check_fleet, load_fleet
from healthd.config.oauth import OAuthConfig
from healthd.config.secrets import SecretRef

HEAD = """apiVersion: healthd/v1
kind: Fleet
clusters:
  - name: payments
    bootstrapServers: ["b1.example.net:9093"]
    security: """
URL = "https://login.example.net/token"
OAUTH = f"tokenEndpointUrl: {URL}, clientId: healthd"

Check = Callable[[str], list[str]]


@pytest.fixture
def check(tmp_path: Path) -> Check:
    """What is wrong with a `security`, without file and line."""
    for name in ("secret", "ca.pem"):
        (tmp_path / name).write_text("x")
        (tmp_path / name).chmod(0o600)

    def run(security: str) -> list[str]:
        file = tmp_path / "fleet.yaml"
        file.write_text(f"{HEAD}{{{security}}}\n")
        return [
            str(problem).split("clusters[0].security.", 1)[-1].replace(str(tmp_path), "DIR")
            for problem in check_fleet(file)
        ]

    return run


def test_a_token_endpoint_is_read_with_absolute_paths(tmp_path: Path, check: Check) -> None:
    text = f"clientSecretFile: secret, scope: kafka, caFile: ca.pem, {OAUTH}"
    assert check(f"protocol: SASL_SSL, saslMechanism: OAUTHBEARER, oauth: {{{text}}}") == []
    (cluster,) = load_fleet(tmp_path / "fleet.yaml").clusters
    assert cluster.security.oauth == OAuthConfig(
        token_endpoint_url=URL,
        client_id="healthd",
        client_secret=SecretRef(file=tmp_path / "secret"),
        scope="kafka",
        ca_file=tmp_path / "ca.pem",
    )


@pytest.mark.parametrize(
    ("security", "wanted"),
    [
        pytest.param(
            "protocol: SASL_SSL, saslMechanism: OAUTHBEARER",
            "oauth: oauth is missing: OAUTHBEARER needs a token endpoint "
            "-> add oauth: {tokenEndpointUrl: URL, clientId: ID, clientSecretFile: PATH}",
            id="oauthbearer without an endpoint",
        ),
        pytest.param(
            "protocol: SASL_SSL, saslMechanism: OAUTHBEARER, username: me, "
            f"oauth: {{clientSecretEnv: S, {OAUTH}}}",
            "username: is not used with saslMechanism OAUTHBEARER "
            "-> remove username; the client's id and secret belong into oauth",
            id="oauthbearer with a user",
        ),
        pytest.param(
            "protocol: SASL_SSL, saslMechanism: PLAIN, username: me, passwordEnv: P, "
            f"oauth: {{clientSecretEnv: S, {OAUTH}}}",
            "oauth: is not used with saslMechanism PLAIN "
            "-> set saslMechanism: OAUTHBEARER, or remove oauth",
            id="an endpoint with another mechanism",
        ),
        pytest.param(
            f"protocol: SSL, oauth: {{clientSecretEnv: S, {OAUTH}}}",
            "oauth: is not used with protocol SSL -> set protocol: SASL_SSL, or remove oauth",
            id="an endpoint without SASL",
        ),
        pytest.param(
            f"protocol: SASL_SSL, saslMechanism: OAUTHBEARER, oauth: {{{OAUTH}}}",
            "oauth.clientSecretFile: no client secret "
            "-> add clientSecretFile: PATH, clientSecretEnv: NAME or clientSecretCommand: "
            "[PROGRAM, ARGUMENT]",
            id="no client secret",
        ),
        pytest.param(
            "protocol: SASL_SSL, saslMechanism: OAUTHBEARER, "
            f"oauth: {{clientSecretEnv: S, clientSecretFile: secret, {OAUTH}}}",
            "oauth.clientSecretEnv: clientSecretFile and clientSecretEnv are both given "
            "-> keep one of them",
            id="two client secrets",
        ),
        pytest.param(
            "protocol: SASL_SSL, saslMechanism: OAUTHBEARER, oauth: {clientSecretEnv: S, "
            "tokenEndpointUrl: http://login.example.net/token, clientId: healthd}",
            "oauth.tokenEndpointUrl: would send the client secret in clear -> write https",
            id="a secret in clear on the network",
        ),
        pytest.param(
            "protocol: SASL_SSL, saslMechanism: OAUTHBEARER, oauth: {clientSecretEnv: S, "
            "tokenEndpointUrl: http://127.0.0.1:8080/token, clientId: h, caFile: ca.pem}",
            "oauth.caFile: is not used with http -> write https, or remove caFile",
            id="authorities without TLS",
        ),
        pytest.param(
            "protocol: SASL_SSL, saslMechanism: OAUTHBEARER, "
            f"oauth: {{clientSecretFile: nowhere, {OAUTH}}}",
            "oauth.clientSecretFile: file DIR/nowhere cannot be used: No such file or directory "
            "-> create it, or correct the path",
            id="a secret file that is not there",
        ),
        pytest.param(
            "protocol: SASL_SSL, saslMechanism: GSSAPI, username: u, passwordEnv: P",
            "saslMechanism: GSSAPI is not built yet "
            "-> use PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER",
            id="kerberos",
        ),
    ],
)
def test_a_wrong_combination_is_named(check: Check, security: str, wanted: str) -> None:
    assert check(security) == [wanted]


def test_a_client_secret_in_clear_is_refused_and_not_shown(check: Check) -> None:
    (found,) = check(
        "protocol: SASL_SSL, saslMechanism: OAUTHBEARER, "
        f"oauth: {{clientSecret: s3cr3t, clientSecretEnv: S, {OAUTH}}}"
    )
    assert found == (
        "oauth.clientSecret: clientSecret is a secret in clear; its value is not shown here "
        "-> put it in a file of mode 0600 and write clientSecretFile: PATH, or "
        "clientSecretEnv: NAME"
    )
