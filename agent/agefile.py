"""Sealed files in the age format (age-encryption.org), so that the ordinary `age` program opens them too.

To a recipient (`age1…`, an X25519 public key) whose identity (`AGE-SECRET-KEY-1…`) opens it, or with a passphrase.
What was cut or changed does not open, not even in part. The package `pyrage` is loaded at the first call: a till that
seals nothing so never has it in memory.
"""

from typing import Any

from agent.errors import AgentError

_INTRO, _ARMOR = b"age-encryption.org/v1", b"-----BEGIN AGE ENCRYPTED FILE-----"
_HEAD_BYTES = 256
_FOR_AN_IDENTITY = "it was sealed for an identity, not with a passphrase"


class AgeError(AgentError):
    """It does not open, or cannot be sealed; the text says why."""

    code = "sealed-file"


def new_pair() -> tuple[str, str]:
    """A recipient and its identity."""
    identity = _age().x25519.Identity.generate()
    return str(identity.to_public()), str(identity)


def check_recipient(recipient: str) -> None:
    """Raise ValueError where a text is no recipient, one letter of it mistyped, say."""
    age = _age()
    try:
        age.x25519.Recipient.from_str(recipient)
    except age.RecipientError:
        raise ValueError(
            "is no age recipient (age1…): copy it whole, as flash-agent rescue keygen printed it"
        ) from None


def seal(plain: bytes, recipient: str, *, armored: bool = False) -> bytes:
    """Seal to a recipient; `armored`: as ASCII. Raises AgeError where it is none."""
    age = _age()
    try:
        check_recipient(recipient)
    except ValueError as error:
        raise AgeError(f"The recipient {error}.") from None
    sealed: bytes = age.encrypt(plain, [age.x25519.Recipient.from_str(recipient)], armored=armored)
    return sealed


def unseal(sealed: bytes, identity: str) -> bytes:
    """Open with an identity, or the text of an identity file; raises AgeError."""
    age = _age()
    lines = [line.strip() for line in identity.splitlines()]
    try:
        identities = [age.x25519.Identity.from_str(line) for line in lines if line and not line.startswith("#")]
    except age.IdentityError:
        raise AgeError("The identity file holds something that is no age identity (AGE-SECRET-KEY-1…).") from None
    if not identities:
        raise AgeError("The identity file holds no age identity (AGE-SECRET-KEY-1…).")
    try:
        opened: bytes = age.decrypt(sealed, identities)
    except age.DecryptError as error:
        raise AgeError(_why(error, "it was sealed for another identity, or with a passphrase")) from None
    return opened


def seal_with_passphrase(plain: bytes, passphrase: str) -> bytes:
    """Seal with a passphrase; takes a second or two, on purpose."""
    sealed: bytes = _age().passphrase.encrypt(plain, passphrase)
    return sealed


def must_want_passphrase(sealed: bytes) -> None:
    """Raise AgeError where no passphrase would open it, as its first lines say; what is armored is not looked into."""
    first, second, *_ = [*sealed[:_HEAD_BYTES].split(b"\n"), b""]
    if first.startswith(_ARMOR):
        return
    if first != _INTRO:
        raise AgeError("The sealed file does not open: it was cut, changed or is none.")
    if not second.startswith(b"-> scrypt "):
        raise AgeError(f"The sealed file does not open: {_FOR_AN_IDENTITY}. Name that one: --identity FILE.")


def unseal_with_passphrase(sealed: bytes, passphrase: str) -> bytes:
    """Open with the passphrase; raises AgeError."""
    age = _age()
    try:
        opened: bytes = age.passphrase.decrypt(sealed, passphrase)
    except age.DecryptError as error:
        raise AgeError(_why(error, _FOR_AN_IDENTITY)) from None
    return opened


def _why(error: Exception, wrong_kind: str) -> str:
    """The library's words are few, and tell the cases apart."""
    match str(error):
        case "No matching keys found":
            return f"The sealed file does not open: {wrong_kind}."
        case "Decryption failed":
            return "The sealed file does not open: the passphrase is another one."
        case _:
            return f"The sealed file does not open: it was cut, changed or is none ({error})."


def _age() -> Any:
    import pyrage  # type: ignore[import-untyped] # noqa: PLC0415 - see above

    return pyrage
