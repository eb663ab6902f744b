"""`rescue export`: what is left on a till that does not run, into one sealed file.

Nobody is asked for a passphrase before all else is known to go well: the disk is read first.
"""

import argparse
import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from agent import agefile
from agent.cli import options, passphrases, private_file, text
from agent.errors import ConfigError
from agent.outbox.till import Till
from agent.rescue import natural
from agent.rescue.disk import borrowed
from agent.rescue.exporting import Keys, read
from agent.rescue.travelling import counted, owed_in, pack
from agent.storage import DataDir

if TYPE_CHECKING:
    from agent.rescue.travelling import Rescue


def run(arguments: argparse.Namespace) -> int:
    """Export; raises AgentError naming what is in the way, with no file written."""
    data_dir = DataDir(Path(arguments.data_dir).absolute())
    if arguments.output.absolute().is_relative_to(data_dir.path):
        raise ConfigError(f"{arguments.output} lies on the dead till's own disk. Name a file elsewhere.")
    private_file.must_be_free(arguments.output)
    named = _named(arguments)
    identity = options.read_small_file(arguments.identity, "The identity") if arguments.identity else None
    given = passphrases.read(arguments.passphrase_file) if arguments.passphrase_file is not None else None
    if arguments.to is not None:
        try:
            agefile.check_recipient(arguments.to)
        except ValueError as error:
            raise ConfigError(f"--to {error}.") from None
    keys = Keys(data_dir, credential=arguments.credential, identity=identity)
    with borrowed(data_dir) as copy:
        rescue = asyncio.run(read(copy, keys, named))
    plain = pack(rescue)
    passphrase = passphrases.chosen() if arguments.passphrase else given
    sealed = agefile.seal_with_passphrase(plain, passphrase) if passphrase else agefile.seal(plain, arguments.to)
    private_file.write_new(arguments.output, sealed)
    _tell(rescue, arguments.output, keys.opened_by)
    return 0


def _named(arguments: argparse.Namespace) -> Till | None:
    if arguments.till_id is None:
        if arguments.store_id is not None:
            raise ConfigError("--store-id goes with --till-id.")
        return None
    till = Till(arguments.store_id or "", arguments.till_id)
    try:
        natural.check_till(till)
    except ValueError:
        raise ConfigError("--till-id takes letters, digits and . _ -; --store-id is Flash's id of the store.") from None
    return till


def _tell(rescue: "Rescue", output: Path, opened_by: str) -> None:
    till, counts = rescue.till, counted(rescue.operations)
    opened = f"Till {till.till_id} of {till.store_id or 'no store'}; its rows were opened with {opened_by}."
    print(text.printable(opened))
    if counts:
        rows = [(kind, state, count) for (kind, state), count in sorted(counts.items())]
        for line in text.table([("kind", "state", "operations"), *rows], right={2}):
            print(line)
    else:
        print("Nothing was left to deliver.")
    for each in rescue.missing:
        print(text.printable(f"Missing: {each}"), file=sys.stderr)
    holds = text.counted(len(rescue.operations), "operation")
    print(f"{output} holds {holds}, sealed. Take it in at another till of that store:")
    print(f"  flash-agent rescue import {output.name}")
    print("Do not start the dead till's agent again: should it happen, nothing counts twice at Flash.")
    if owed := owed_in(rescue.operations):
        owes = f"It owes customers the discount of {text.counted(owed, 'coupon')}."
        print(f"{owes} Take it in at one till alone, or two may give it.")
