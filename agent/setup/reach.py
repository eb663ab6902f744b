"""Why there is no way to Flash, said so that somebody in the store can mend it."""

import socket
from urllib.parse import urlsplit

from agent.flash.address import FlashAddress

LIMIT_S = 5.0
_INSPECTED = (
    "Where the store's network inspects TLS, give its authority's certificate as ca_file or make the system trust it; "
    "a clock that is wrong can be the cause, too."
)


def cause(address: FlashAddress, detail: str) -> str:
    """What is in the way and the mend; `detail` is what the attempt itself said."""
    if "certificate" in detail:
        return f"{detail} {_INSPECTED}"
    url = urlsplit(address.proxy or address.base_url)
    host = url.hostname or ""
    port = url.port or {"http": 80}.get(url.scheme, 443)
    what = f"the proxy {host}:{port}" if address.proxy else f"{host}:{port}"
    try:
        socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        known = "" if address.proxy else " Where only a proxy leads out, give its address as proxy."
        return f"The name {host} is not known here. Is the network up, and does its DNS answer?{known}"
    try:
        socket.create_connection((host, port), LIMIT_S).close()
    except TimeoutError:
        return f"There is no answer from {what}. A firewall may be in the way: let this till out to it."
    except OSError as error:
        return f"There is no connection to {what} ({error.strerror or type(error).__name__}). {_mend(address)}"
    if address.proxy:
        return f"{detail} {what.capitalize()} answers, but gives no way to Flash: does it want a user and a password?"
    return (
        f"{detail} {what} takes connections, but what answers is not Flash: check base_url, or sign in to the network."
    )


def _mend(address: FlashAddress) -> str:
    if address.proxy:
        return "Check the address of the proxy."
    return "Check base_url and the firewall; where only a proxy leads out, give its address as proxy."
