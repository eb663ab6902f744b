"""The deterministic simulation (tests/simulation) as a campaign: seeds that were never tried before, each time."""

from tests.simulation.many import many, some
from tests.support.campaign import Campaign, Control, Size, Tally
from tests.support.weakened import Change

SEEDS = {Size.SHORT: 300, Size.LONG: 10_000}
JOBS = {Size.SHORT: 1, Size.LONG: 2}
_LOST = ("nothing_is_lost", "a_yes_has_happened")
_DOUBLED = ("discounts_are_burned", "a_word_stands")


def run(size: Size, seed: int) -> Tally:
    """Run seeds from `seed` on; a short run ends with the first that fails."""
    seeds = range(seed, seed + SEEDS[size])
    if size == Size.SHORT:  # not `is`: where the frame is the main program its Size is another one
        found = some(seeds, stops=True)
    else:
        *_, found = many(seeds, JOBS[size])
    tally = Tally(found.seeds)
    for failed, breaches in sorted(found.failed.items()):
        tally.lost += sum(breach.startswith(_LOST) for breach in breaches)
        tally.doubled += sum(breach.startswith(_DOUBLED) for breach in breaches)
        tally.breaches += [f"{breach} (make simulate SEED={failed})" for breach in breaches[:3]]
    del tally.breaches[50:]
    tally.figures["seen"] = str(found)
    return tally


CAMPAIGN = Campaign(
    name="simulation",
    promise="Whatever is lost, late, doubled, refused or killed, each accepted operation has one effect, in order",
    unit="seeds",
    run=run,
    controls=(
        Control(
            "a fresh key for every attempt",
            (
                Change(
                    "agent/outbox/operation.py",
                    "            key=self.upstream_key,\n",
                    "            key=self.upstream_key if self.attempts < 2\n"
                    '            else f"{self.upstream_key}.{self.attempts}",\n',
                ),
            ),
        ),
        Control(
            "dependences are not looked at",
            (
                Change(
                    "agent/outbox/slow_way.py",
                    "        if not await transaction.fetch(_INSERT_ONE, [seq, generation, blocked, *row]):\n",
                    "        rows = await transaction.fetch(_INSERT_ONE, [seq, generation, blocked, *row])\n"
                    '        await transaction.fetch("UPDATE operation SET blocked = 0 WHERE seq = ?", [seq])\n'
                    "        if not rows:\n",
                ),
            ),
            seed=36,
        ),
        Control(
            "a Retry-After is ignored",
            (
                Change(
                    "agent/outbox/line.py",
                    "        self._closed_until = max(self._closed_until, self._now() + wait_s)\n",
                    "        self._closed_until = max(self._closed_until, self._now() + min(wait_s, 1.0))\n",
                ),
            ),
        ),
        Control(
            "acknowledged before it is stored",
            (
                Change(
                    "agent/outbox/accepting.py",
                    "            await self._database.insert(self)\n",
                    "            ahead = enumerate(list(self._queue), self._next_seq)\n"
                    "            self._answer([each for each in ahead if each[1].draft.kind.value == 'sale'])\n"
                    "            await self._database.insert(self)\n",
                ),
            ),
        ),
        Control(
            "a redemption is resent blindly after its wait",
            (
                Change(
                    "agent/redemption/unconfirmed.py",
                    "        if owed and not too_old:\n",
                    "        if not too_old:\n",
                ),
            ),
            seed=45,
        ),
        Control(
            "a credit is not used up",
            (
                Change(
                    "agent/outbox/redemptions.py",
                    '            await self._set(transaction, earlier, credit="used")\n',
                    "",
                ),
            ),
            seed=70,
        ),
        Control(
            "a burn that nobody was told of is no credit",
            (
                Change(
                    "agent/outbox/redemptions.py",
                    '                credit = None if honor else "open"\n',
                    "                credit = None\n",
                ),
            ),
        ),
        Control(
            "a pause has no end",
            (
                Change(
                    "agent/outbox/store.py",
                    "        return None if due is None else int(due)\n",
                    "        return None\n",
                ),
            ),
        ),
        Control(
            "a register waits longer than it asked",
            (
                Change(
                    "agent/outbox/waiting.py",
                    "            async with asyncio.timeout(min(wait_s, PROBE_WAIT_S) if dead else wait_s):\n",
                    "            async with asyncio.timeout(wait_s + 1.0):\n",
                ),
            ),
        ),
    ),
)
