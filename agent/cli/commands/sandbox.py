"""`sandbox`: the stand-in for Flash alone, for registers under development and cashiers in training."""

import argparse
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

from agent.cli import options, text

if TYPE_CHECKING:
    from agent.sandbox import Sandbox, Seed, SeedCoupon

DEFAULT_PORT = 8456


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`--port`."""
    parser.add_argument(
        "--port", type=options.port, default=DEFAULT_PORT, help=f"default: {DEFAULT_PORT}; 0 takes a free one"
    )


def run(arguments: argparse.Namespace) -> int:
    """Serve until told to stop; raises ConfigError when the port is taken."""
    from agent.cli import process

    return process.run(_serve(arguments.port))


async def _serve(port: int) -> int:
    from agent.cli import process
    from agent.errors import PortTakenError
    from agent.sandbox import DEMO, Sandbox

    sandbox = Sandbox(DEMO)
    try:
        await sandbox.start(port=port)
    except OSError as error:
        raise PortTakenError(f"The sandbox cannot listen on port {port}: {error.strerror}. Choose another.") from None
    try:
        print("\n".join(_welcome(sandbox, DEMO)), flush=True)
        await process.until_told_to_stop()
    finally:
        await sandbox.stop()
    return 0


def _welcome(sandbox: "Sandbox", seed: "Seed") -> Iterator[str]:
    yield "A stand-in for Flash v2, in memory: nothing of it is real, and nothing outlives it."
    yield ""
    yield from text.table(
        [
            ("base URL", sandbox.base_url),
            ("write key", sandbox.write_key),
            ("read key", sandbox.read_key),
            ("store", sandbox.store_id),
            ("control", f"{sandbox.origin}/_sandbox/audit, …/ledger, …/faults"),
        ]
    )
    yield ""
    members = [(m.full_name, m.external_id, m.email, m.tier or "base tier", m.balance) for m in seed.members]
    yield from text.table([("MEMBER", "EXTERNAL ID", "E-MAIL", "TIER", "POINTS"), *members], right={4})
    yield ""
    coupons = [
        (coupon.id, coupon.title + (" (expired)" if _is_expired(coupon) else ""), member.full_name)
        for member in seed.members
        for coupon in member.coupons
    ]
    yield from text.table([("COUPON", "WHAT", "WHOSE"), *coupons])
    yield ""
    key, address = sandbox.write_key, f"{sandbox.base_url}/members?externalId={seed.members[0].external_id}"
    yield f'Try it:       curl -s -H "Authorization: Bearer {key}" "{address}"'
    yield f"For an agent: {_environment(sandbox)}"
    yield "Stop it with Ctrl-C."


def _is_expired(coupon: "SeedCoupon") -> bool:
    return coupon.expires_in is not None and coupon.expires_in <= timedelta(0)


def _environment(sandbox: "Sandbox") -> str:
    settings = (
        ("FLASH__BASE_URL", sandbox.base_url),
        ("FLASH__WRITE_KEY", sandbox.write_key),
        ("STORE__STORE_ID", sandbox.store_id),
    )
    named = [f"FLASH_AGENT_{name}={value}" for name, value in settings]
    command = f"{text.own_name()} run --data-dir sandbox-till"  # what is tried out stays apart from the store's own
    if sys.platform == "win32":
        return " & ".join([*(f'set "{each}"' for each in named), command])
    return " ".join([*named, command])
