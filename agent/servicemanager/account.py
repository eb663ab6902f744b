"""What Windows' service is called, and whom it runs as: a virtual account, whose number follows from the name."""

import hashlib

NAME = "FlashAgent"
ACCOUNT = f"NT SERVICE\\{NAME}"


def service_sid(name: str = NAME) -> str:
    """The number of a service's virtual account, which Windows makes from the name in capitals."""
    digest = hashlib.sha1(name.upper().encode("utf-16-le"), usedforsecurity=False).digest()
    parts = (int.from_bytes(digest[at : at + 4], "little") for at in range(0, 20, 4))
    return "-".join(["S-1-5-80", *map(str, parts)])
