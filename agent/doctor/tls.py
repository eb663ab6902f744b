"""Who signed the certificate that is shown for Flash, and does this till trust it as the agent would?

Verified as the agent does, by the operating system's trust store and `[flash] ca_file`. Beside that by the public list
of authorities alone: what only the till trusts was put there by somebody who opens connections on their way.
"""

import contextlib
import ssl
from collections.abc import Generator
from pathlib import Path

import truststore

from agent.doctor import certificates
from agent.doctor.catalogue import found
from agent.doctor.certificates import Shown
from agent.doctor.dialling import Dialled, Route
from agent.doctor.findings import Finding, fine

_MANY = 3  # names that are shown


def look_at_certificate(
    route: Route, dialled: Dialled, ca_file: Path | None
) -> Generator[Finding, None, ssl.SSLSocket | None]:
    """What is wrong with it. Returns the connection, secured, where the agent would go on; else None."""
    try:
        secured = _as_the_agent(ca_file).wrap_socket(dialled.socket, server_hostname=route.host)
    except ssl.SSLCertVerificationError as error:
        yield _refused(route, error)
        return None
    except OSError as error:
        yield _failed(route, error)
        return None
    shown = _shown_on(secured)
    yield _trusted(route, shown, ca_file, secured.version())
    return secured


def _as_the_agent(ca_file: Path | None) -> ssl.SSLContext:
    context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca_file:
        context.load_verify_locations(cafile=str(ca_file))
    return context


def _trusted(route: Route, shown: Shown | None, ca_file: Path | None, version: str | None) -> Finding:
    facts = {**(shown.facts() if shown else {}), "tls": version}
    signed_by = shown.signed_by if shown else "an unknown authority"
    is_public = _is_public(route)
    if (shown and shown.inspector) or (is_public is False and ca_file is None):
        return found("tls-inspected", f"signed by {signed_by}.", **facts)
    through = " (through [flash] ca_file)" if is_public is False else ""
    return fine("tls", f"The certificate is trusted{through}, signed by {signed_by}.", **facts)


def _failed(route: Route, error: OSError) -> Finding:
    """No handshake at all; but where one that verifies nothing comes about, it is the certificate all the same."""
    if not isinstance(error, ssl.SSLError) and _shown_to_anybody(route) is not None:
        return _refused(route, error)
    reason = str(getattr(error, "reason", None) or error.strerror or type(error).__name__)
    return found("tls-fails", f"{reason.replace('_', ' ').lower().rstrip('.')}.")


def _refused(route: Route, error: OSError) -> Finding:
    """Why it is not trusted, from the certificate itself."""
    shown = _shown_to_anybody(route)
    message = getattr(error, "verify_message", "") or "not trusted"
    if shown is None:
        return found("tls-untrusted", f"{message}.")
    facts = {**shown.facts(), "reason": message}
    if not shown.is_valid_at(certificates.now()):
        period = f"from {shown.valid_from:%Y-%m-%d %H:%M} to {shown.valid_until:%Y-%m-%d %H:%M} UTC"
        return found("tls-expired", f"it is valid {period}; signed by {shown.signed_by}.", **facts)
    if shown.is_self_signed:
        return found("tls-self-signed", f"{shown.subject}.", **facts)
    if not shown.is_for(route.host):
        named = ", ".join(shown.names[:_MANY]) or shown.subject
        return found("tls-wrong-host", f"{named}; signed by {shown.signed_by}.", **facts)
    if _is_public(route):
        return found("trust-store-poor", f"{shown.signed_by}.", **facts)
    return found("tls-untrusted", f"it was signed by {shown.signed_by}.", **facts)


def _is_public(route: Route) -> bool | None:
    """Whether the public list of authorities trusts it; None where that is not known."""
    try:
        import certifi  # noqa: PLC0415 - it comes with httpx

        context = ssl.create_default_context(cafile=certifi.where())
        with route.dial() as again, context.wrap_socket(again.socket, server_hostname=route.host):
            return True
    except ssl.SSLCertVerificationError:
        return False
    except (ImportError, OSError):
        return None


def _shown_to_anybody(route: Route) -> Shown | None:
    """What is shown, verified by nobody; nothing is said on that connection."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        contextlib.suppress(OSError),
        route.dial() as again,
        context.wrap_socket(again.socket, server_hostname=route.host) as secured,
    ):
        return _shown_on(secured)
    return None


def _shown_on(secured: ssl.SSLSocket) -> Shown | None:
    der = secured.getpeercert(binary_form=True)
    try:
        return certificates.read(der) if der else None
    except ValueError:
        return None
