"""Pages and certificates that a step of a playbook asks for, from where healthd runs.

Every answer is bounded, no redirect is followed, and the certificate of a page is always checked.
"""

import asyncio
import hashlib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import aiohttp

PAGE_SECONDS: Final = 10.0
HANDSHAKE_SECONDS: Final = 5.0
MAX_BODY_BYTES: Final = 65_536
"""Of a page this much is looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What came of one request."""

    status: int | None = None
    """None: there was no answer."""
    text: str = ""
    """The beginning of its body."""
    trouble: str = ""
    was_sent: bool = False
    """Whether the other side may have acted on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """What certificate a port serves."""

    sha256: str | None = None
    """None: none was seen."""
    trouble: str = ""


async def page_of(  # All of HTTP's own.
    method: str,
    url: str,
    *,
    ca_file: str | None = None,
    body: str | None = None,
    headers: Mapping[str, str] | None = None,
    seconds: float = PAGE_SECONDS,
) -> Page:
    """The answer of a server; trouble is a value, and tells neither headers nor body."""
    try:
        tls = ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        why = error.strerror or type(error).__name__
        return Page(trouble=f"the CA file {ca_file} cannot be used: {why}")
    connector = aiohttp.TCPConnector(ssl=tls)
    timeout = aiohttp.ClientTimeout(total=seconds)
    try:
        async with (
            aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=timeout,
                trust_env=False,
            ) as session,
            session.request(
                method,
                url,
                data=None if body is None else body.encode(),
                headers=headers,
                allow_redirects=False,
            ) as response,
        ):
            text = (await _beginning(response)).decode(errors="replace")
            return Page(status=response.status, text=text, was_sent=True)
    except aiohttp.ConnectionTimeoutError:
        return Page(trouble=f"no connection within {seconds:g} s")
    except TimeoutError:
        return Page(trouble=f"no answer within {seconds:g} s", was_sent=True)
    except aiohttp.ClientConnectorCertificateError as error:
        why = getattr(error.certificate_error, "verify_message", "") or "not trusted"
        return Page(trouble=f"its certificate does not hold ({why})")
    except aiohttp.ClientConnectorError as error:
        return Page(trouble=error.os_error.strerror or "no connection")
    except (aiohttp.InvalidURL, ValueError):
        return Page(trouble="is no URL that can be asked")
    except (aiohttp.ClientError, OSError) as error:
        return Page(trouble=f"the connection broke ({type(error).__name__})", was_sent=True)


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    kept = bytearray()
    async for chunk in response.content.iter_any():
        kept += chunk[: MAX_BODY_BYTES - len(kept)]
        if len(kept) >= MAX_BODY_BYTES:
            break
    return bytes(kept)


async def fingerprint_of(host: str, port: int) -> Fingerprint:
    """The certificate that a port serves; it is only read, and proves nothing here."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(HANDSHAKE_SECONDS):
            _, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=host)
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    except TimeoutError:
        return Fingerprint(trouble=f"no TLS within {HANDSHAKE_SECONDS:g} s")
    except OSError as error:
        return Fingerprint(trouble=error.strerror or type(error).__name__)
    finally:
        if writer is not None:
            writer.close()
    if shown is None:
        return Fingerprint(trouble="it shows no certificate")
    return Fingerprint(sha256=hashlib.sha256(shown).hexdigest())
