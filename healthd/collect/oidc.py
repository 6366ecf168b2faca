"""One request to a token endpoint: client credentials (RFC 6749, section 4.4)."""

import base64
import binascii
import http.client
import json
import math
import re
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote_plus, urlencode, urlsplit

from healthd.collect.failing import AccessError
from healthd.collect.observation import FailureReason
from healthd.collect.tokens import ENDPOINT, OWN_SIDE
from healthd.config.oauth import OAuthConfig
from healthd.config.problems import ConfigError

HTTP_SECONDS: Final = 10.0
"""For one step of the exchange; nobody waits for it (see `tokens`)."""

MAX_BYTES: Final = 256 * 1024
UNKNOWN_LIFE_SECONDS: Final = 300.0
"""Of a token whose answer does not say how long it lives, and that is no JWT that does."""

MAX_LIFE_SECONDS: Final = 10.0**8
"""Three years; more than that is a mistake, and would not fit where clients keep it."""

_ERROR_CODE: Final = re.compile(r"[A-Za-z_]{1,60}")
_BUSY: Final = frozenset({429})
_SERVER_ERROR: Final = 500
_OK: Final = 200


def fetch_token(
    config: OAuthConfig, awaiting: Callable[[str], None] = lambda _what: None
) -> tuple[str, float]:
    """A new access token, and how many seconds it lives from now.

    Args:
        config: The endpoint, and who we are to it.
        awaiting: Is told what is waited for from now on.

    Raises:
        AccessError: The endpoint gave none: its reason says whether the way to it or our
            credentials are at fault; no secret is in its text.
    """
    where = config.token_endpoint_url
    try:
        awaiting(OWN_SIDE)
        secret = config.client_secret.read()
        awaiting(ENDPOINT)
        status, body = _exchange(config, secret)
    except ConfigError as error:
        raise AccessError(FailureReason.AUTHENTICATION, str(error)) from None
    except ssl.SSLError as error:
        why = getattr(error, "verify_message", None) or error.reason or "TLS failed"
        raise AccessError(
            FailureReason.TLS, f"the token endpoint {where} is not trusted: {why}; check caFile"
        ) from None
    except TimeoutError:
        raise AccessError(
            FailureReason.TIMEOUT, f"the token endpoint {where} does not answer"
        ) from None
    except socket.gaierror:
        raise AccessError(
            FailureReason.DNS, f"the name of the token endpoint {where} cannot be resolved"
        ) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        what = getattr(error, "strerror", None) or type(error).__name__
        raise AccessError(
            FailureReason.NETWORK, f"the token endpoint {where} cannot be reached: {what}"
        ) from None
    if status != _OK:
        raise _refusal(where, status, body)
    return _token_of(where, body)


def _exchange(config: OAuthConfig, secret: str) -> tuple[int, bytes]:
    url = urlsplit(config.token_endpoint_url)
    host = url.hostname or ""
    form = {"grant_type": "client_credentials"}
    if config.scope is not None:
        form["scope"] = config.scope
    # Both are form-encoded first (RFC 6749, section 2.3.1): a colon or a umlaut may be in them.
    pair = f"{quote_plus(config.client_id)}:{quote_plus(secret)}"
    headers = {
        "Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}",
        "Content-Type": "application/x-www-form-urlencoded",
        "Accept": "application/json",
    }
    # No proxy of the environment and no redirect: the secret goes nowhere but there.
    connection = (
        http.client.HTTPSConnection(host, url.port, timeout=HTTP_SECONDS, context=_context(config))
        if url.scheme == "https"
        else http.client.HTTPConnection(host, url.port, timeout=HTTP_SECONDS)
    )
    try:
        connection.request("POST", url.path or "/", body=urlencode(form), headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read(MAX_BYTES)
    finally:
        connection.close()


def _context(config: OAuthConfig) -> ssl.SSLContext:
    return ssl.create_default_context(
        cafile=None if config.ca_file is None else str(config.ca_file)
    )


def _refusal(where: str, status: int, body: bytes) -> AccessError:
    document = _json(body)
    code = document.get("error")
    # Nothing else of the answer is repeated: it may hold what was sent.
    said = f" ({code})" if isinstance(code, str) and _ERROR_CODE.fullmatch(code) else ""
    if status in _BUSY or status >= _SERVER_ERROR:
        return AccessError(
            FailureReason.NETWORK, f"the token endpoint {where} answered {status}{said}"
        )
    return AccessError(
        FailureReason.AUTHENTICATION,
        f"the token endpoint {where} answered {status}{said}: check clientId, the client secret, "
        "scope and tokenEndpointUrl",
    )


def _token_of(where: str, body: bytes) -> tuple[str, float]:
    document = _json(body)
    token = document.get("access_token")
    # It goes into a line of the protocol: what no token may hold would change that line.
    if not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]{1,100000}", token):
        raise AccessError(
            FailureReason.AUTHENTICATION,
            f"the token endpoint {where} answered without an access token: check tokenEndpointUrl",
        )
    life = _number(document.get("expires_in"))
    if life is None:
        life = _life_of(token)
    if life <= 0:
        raise AccessError(
            FailureReason.AUTHENTICATION,
            f"the token endpoint {where} gave a token that has expired: compare the clocks",
        )
    return token, min(life, MAX_LIFE_SECONDS)


def _life_of(token: str) -> float:
    """Seconds that a JWT says it has left; it is read and not verified, for it is not for us."""
    parts = token.split(".")
    claims: Mapping[str, Any] = {}
    if len(parts) == 3:  # noqa: PLR2004  # Head, claims and signature.
        try:
            claims = _json(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        except (binascii.Error, ValueError):
            claims = {}
    expires = _number(claims.get("exp"))
    return UNKNOWN_LIFE_SECONDS if expires is None else expires - time.time()


def _json(body: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _number(value: Any) -> float | None:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return None if math.isnan(value) else float(min(value, 1e18))
