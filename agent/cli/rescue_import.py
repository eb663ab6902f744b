"""`rescue import`: a sealed file of a dead till, into the running agent of this one.

The file is opened and checked whole before anything is sent to the agent, here and not there: a till that runs need not
hold what opens it, nor load what does. Interrupted, it is run again: what is in already counts once.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from agent import agefile, config, jsons
from agent.cli import options, passphrases, text
from agent.cli.client import AgentClient
from agent.errors import AgentError, ConfigError
from agent.outbox.left import Left
from agent.rescue.travelling import VERSION, Load, Rescue, owed_in, unpack

PART_OPERATIONS = 100
PART_BYTES = 512 * 1024
_WORDS = {
    "taken": "taken, and delivered as soon as may be",
    "known": "were taken before",
    "repeated": "this till has the same by itself",
    "conflicting": "this till has the same with another amount: taken as failed, look at them",
}


def run(arguments: argparse.Namespace) -> int:
    """Import; raises AgentError where the file does not open or the agent does not take it."""
    client = AgentClient(config.data_dir(arguments.data_dir))  # before anybody is asked for a passphrase
    rescue = _opened(arguments)
    till = rescue.till
    print(text.printable(f"From till {till.till_id} of {till.store_id or 'no store'}, read {text.local(rescue.made)}:"))
    for each in rescue.missing:
        print(text.printable(f"Missing: {each}"), file=sys.stderr)
    if owed := owed_in(rescue.operations):
        owes = f"It owes customers the discount of {text.counted(owed, 'coupon')}."
        print(f"{owes} Was it taken in at another till, two may give it.")
    fates: Counter[str] = Counter()
    try:
        for part in _parts(rescue):
            load = Load(VERSION, rescue.till, rescue.origin, part, store_differs=arguments.store_differs)
            answer = client.call("POST", "/v1/rescue", jsons.encode(load))
            fates.update(each["fate"] for each in answer["operations"])
    except AgentError as error:
        done = fates.total()
        mend = f"{done} of {len(rescue.operations)} were handed over before; run the same again when that is mended."
        raise AgentError(f"{error} {mend if done else 'Nothing was taken.'}") from None
    for fate, words in _WORDS.items():
        if fates[fate]:
            print(f"{fates[fate]:8}  {words}")
    if not fates:
        print("Nothing was left on it to deliver.")
    return 0


def _opened(arguments: argparse.Namespace) -> Rescue:
    file: Path = arguments.file
    try:
        sealed = file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}.") from None
    if arguments.identity is not None:
        plain = agefile.unseal(sealed, options.read_small_file(arguments.identity, "The identity"))
    elif arguments.passphrase_file is not None:
        plain = agefile.unseal_with_passphrase(sealed, passphrases.read(arguments.passphrase_file))
    else:
        agefile.must_want_passphrase(sealed)
        plain = agefile.unseal_with_passphrase(sealed, passphrases.asked())
    return unpack(plain)


def _parts(rescue: Rescue) -> Iterator[list[Left]]:
    """In the order of acceptance, each as large as one call may be."""
    part: list[Left] = []
    size = 0
    for left in rescue.operations:
        length = len(jsons.encode(left))
        if part and (len(part) == PART_OPERATIONS or size + length > PART_BYTES):
            yield part
            part, size = [], 0
        part.append(left)
        size += length
    if part:
        yield part
