"""Certificates for a server that is not who it should be, and for one that is."""

import datetime as dt
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOST = "localhost"


@dataclass(frozen=True, slots=True)
class Certificates:
    """Contexts for servers by what is wrong with them; `trusted` is in order for HOST."""

    authority: trustme.CA
    trusted: ssl.SSLContext
    wrong: dict[str, ssl.SSLContext]

    @classmethod
    def make(cls) -> "Certificates":
        authority = trustme.CA()
        past = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
        expired = authority.issue_cert(HOST, not_before=past - dt.timedelta(days=30), not_after=past)
        wrong = {
            "expired": _context(expired),
            "unknown authority": _context(trustme.CA().issue_cert(HOST)),
            "wrong host": _context(authority.issue_cert("flash.example.com")),
            "self-signed": _self_signed(),
        }
        return cls(authority, _context(authority.issue_cert(HOST)), wrong)


def _context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def _self_signed() -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "both.pem"
        path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
        context.load_cert_chain(path)
    return context
