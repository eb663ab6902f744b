"""Who signed a certificate, and whether that is a product that opens connections to look inside."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.x509.oid import NameOID

# Words in the issuer's name, and the product that puts them there.
_INSPECTORS = (
    (r"zscaler", "Zscaler"),
    (r"fortinet|fortigate|FGT\w{3,}", "Fortinet FortiGate"),
    (r"palo ?alto|pan-?os", "Palo Alto Networks"),
    (r"blue ?coat|proxysg", "Blue Coat (Symantec) ProxySG"),
    (r"cisco umbrella|opendns|cisco ironport|ironport", "Cisco"),
    (r"netskope|goskope", "Netskope"),
    (r"sophos|cyberoam|astaro", "Sophos"),
    (r"check ?point", "Check Point"),
    (r"barracuda", "Barracuda"),
    (r"forcepoint|websense", "Forcepoint"),
    (r"watchguard|fireware", "WatchGuard"),
    (r"sonicwall", "SonicWall"),
    (r"mcafee|skyhigh|trellix", "Skyhigh (McAfee) web gateway"),
    (r"trend ?micro|iwsva", "Trend Micro"),
    (r"kaspersky", "Kaspersky"),
    (r"\beset\b", "ESET"),
    (r"avast", "Avast"),
    (r"\bavg\b", "AVG"),
    (r"bitdefender", "Bitdefender"),
    (r"dr\.? ?web", "Dr.Web"),
    (r"iboss", "iboss"),
    (r"smoothwall", "Smoothwall"),
    (r"untangle|arista edge", "Untangle"),
    (r"lightspeed", "Lightspeed"),
    (r"securly", "Securly"),
    (r"contentkeeper", "ContentKeeper"),
    (r"cloudflare gateway|gateway ca - cloudflare", "Cloudflare Gateway"),
    (r"menlo", "Menlo Security"),
    (r"squid", "Squid"),
    (r"pfsense|opnsense", "pfSense or OPNsense"),
    (r"mitmproxy", "mitmproxy"),
    (r"fiddler|telerik", "Fiddler"),
    (r"charles", "Charles"),
    (r"portswigger|burp", "Burp"),
)
_LONGEST = 80


@dataclass(frozen=True, slots=True)
class Shown:
    """A certificate that a server showed."""

    issuer: str
    subject: str
    is_self_signed: bool
    valid_from: datetime
    valid_until: datetime
    inspector: str | None
    names: tuple[str, ...] = ()  # of hosts, in lower case, and addresses

    @property
    def signed_by(self) -> str:
        """As a person reads it: the product, where it is known for opening connections, and the issuer's own name."""
        if self.inspector and self.inspector.lower() not in self.issuer.lower():
            return f"{self.issuer} ({self.inspector})"
        return self.issuer

    def is_valid_at(self, moment: datetime) -> bool:
        """Whether its time has come and has not passed."""
        return self.valid_from <= moment <= self.valid_until

    def is_for(self, host: str) -> bool:
        """Whether it names this host; a `*` stands for one label."""
        asked = host.lower().rstrip(".")
        _, _, domain = asked.partition(".")
        return asked in self.names or (bool(domain) and f"*.{domain}" in self.names)

    def facts(self) -> dict[str, Any]:
        """For the details of a finding."""
        return {
            "issuer": self.issuer,
            "subject": self.subject,
            "selfSigned": self.is_self_signed,
            "validFrom": self.valid_from.strftime("%Y-%m-%d"),
            "validUntil": self.valid_until.strftime("%Y-%m-%d"),
            "inspector": self.inspector,
        }


def read(der: bytes) -> Shown:
    """Raises ValueError for what is no certificate."""
    certificate = x509.load_der_x509_certificate(der)
    issuer = _spell(certificate.issuer)
    return Shown(
        issuer,
        _spell(certificate.subject),
        certificate.issuer == certificate.subject,
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
        inspector_in(issuer),
        _names(certificate),
    )


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        named = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    addresses = (str(address) for address in named.get_values_for_type(x509.IPAddress))
    return tuple(name.lower() for name in (*named.get_values_for_type(x509.DNSName), *addresses))


def inspector_in(name: str) -> str | None:
    """The product whose name stands in an issuer's."""
    return next((product for words, product in _INSPECTORS if re.search(words, name, re.IGNORECASE)), None)


def now() -> datetime:
    """By the till's clock."""
    return datetime.now(UTC)


def _spell(name: x509.Name) -> str:
    """Organisation and common name, as far as they are there; printable, and not endless."""
    parts: list[str] = []
    for oid in (NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME):
        for attribute in name.get_attributes_for_oid(oid)[:1]:
            text = "".join(letter if letter.isprintable() else "?" for letter in str(attribute.value))[:_LONGEST]
            if text not in parts:
                parts.append(text)
    return ", ".join(parts) or "a nameless authority"
