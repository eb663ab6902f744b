"""What was promised, against what the registers were told, what Flash did, and what the agents show in the end.

Each check is one promise of the product. It knows the plan's outside alone: the registers' log, the network's and
Flash's books, and the agents' own answers.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agent.outbox.operation import Operation, redeemed_of
from agent.outbox.reading import Filter
from agent.outbox.state import Status
from tests.simulation.flash import Call, Effect, FlashModel
from tests.simulation.network import IN_FLIGHT, Heard, Network
from tests.simulation.plan import Ask, Plan
from tests.simulation.registers import Log, Told, redemption_key

if TYPE_CHECKING:
    from tests.simulation.run import World

WAIT_SLACK_S = 0.25  # of a disk that takes its time, for several statements; it is not Flash's
ON_ITS_WAY_S = 0.02  # what was permitted already, and waits for the commit of its claim
NOTED_WITHIN_S = 0.25  # of a Retry-After: until then it may die with its agent
SETTLED = {"succeeded", "declined"}
STORED_FAILURES = 5
DEFINITIVE = {400, 404, 409, 422}
_GENERATION = re.compile(r"^(.*?)(?:\.(\d+))?$")


@dataclass(slots=True)
class Evidence:
    """Everything that is known once it is over. `shown` are the operations that each till shows, by id."""

    plan: Plan
    flash: FlashModel
    network: Network
    log: Log
    shown: dict[str, dict[str, Operation]] = field(default_factory=dict)
    jumped_at: dict[str, list[float]] = field(default_factory=dict)
    ended_at: dict[str, list[float]] = field(default_factory=dict)

    def told(self, *kinds: str) -> Iterator[Told]:
        """What registers were told about operations of these kinds."""
        return (told for told in self.log.told if told.id and told.ask.kind in kinds)

    def final(self, told: Told) -> Operation | None:
        """How the operation is shown in the end."""
        return self.shown[told.ask.till].get(told.id)


async def judge(world: "World") -> None:
    """Look at everything; breaches go into the result."""
    evidence = Evidence(world.plan, world.flash, world.network, world.log)
    for name, till in world.tills.items():
        evidence.shown[name] = {operation.id: operation for operation in await till.request(_operations)}
        evidence.jumped_at[name], evidence.ended_at[name] = till.jumped_at, till.ended_at
    for check in CHECKS:
        for breach in check(evidence):
            world.fault(f"{check.__name__}: {breach}")
    for breach in world.flash.breaches:
        world.fault(breach)


async def _operations(service: Any, tell: Any) -> None:
    found: list[Operation] = []
    before = None
    while True:
        page, before = await service.store.select(Filter(), 200, before)
        found += page
        if before is None:
            tell(found)
            return


# ---- nothing is lost, and what is settled has happened ---------------------------------------------------------------


def nothing_is_lost(evidence: Evidence) -> Iterator[str]:
    """Every acknowledged operation is shown."""
    for told in evidence.told("sale", "refund", "enrollment", "redemption"):
        if evidence.final(told) is None:
            yield f"lost: {_what(told.ask)}, acknowledged at {told.at:.3f}"


def a_yes_has_happened(evidence: Evidence) -> Iterator[str]:
    """What an agent calls succeeded is there, in Flash."""
    keys = {effect.call.key for effect in evidence.flash.effects}
    burned = {effect.detail["coupon"] for effect in _burns(evidence)} | _said_to_be_burned(evidence)
    for told in evidence.told("sale", "refund", "enrollment", "redemption"):
        final, fields = evidence.final(told), told.ask.fields
        if final is None or final.status is not Status.SUCCEEDED or final.id in evidence.log.closed:
            continue
        match told.ask.kind:
            case "sale":
                order = evidence.flash.orders.get(fields["externalOrderId"])
                happened = order is not None and order["amount"] == fields["totalAmount"]
            case "refund":
                happened = (fields["externalOrderId"], fields["refundId"]) in evidence.flash.refunds
            case "enrollment":
                happened = any(effect.natural == f"member:{fields['externalId']}" for effect in evidence.flash.effects)
            case _:
                earlier = redeemed_of(final).basis in {"earlier-redemption", "voided"} and fields["couponId"] in burned
                happened = earlier or final.upstream_key in keys
        if not happened:
            yield f"lost: {_what(told.ask)} is called succeeded, and Flash knows nothing of it"


def _said_to_be_burned(evidence: Evidence) -> set[str]:
    """Coupons about which an operator decided."""
    shown = [operation for shown in evidence.shown.values() for operation in shown.values()]
    closed = [each.content.request for each in shown if each.id in evidence.log.closed and each.content]
    return {str(request.get("couponId")) for request in closed}


def a_word_stands(evidence: Evidence) -> Iterator[str]:
    """Once settled it stays so, and is settled once."""
    for told in evidence.told("sale", "refund", "enrollment", "redemption"):
        final = evidence.final(told)
        if final is not None and told.status in SETTLED and final.status != told.status:
            yield f"{_what(told.ask)} was {told.status} and is {final.status}"
    for name, statuses in evidence.log.settled.items():
        if len(statuses) > 1:
            yield f"{name} was settled more than once: {', '.join(statuses)}"


def everything_settles(evidence: Evidence) -> Iterator[str]:
    """Once all faults have ceased nothing is pending but what waits for a failure or for an order that nobody knows."""
    for name, shown in evidence.shown.items():
        for operation in shown.values():
            if operation.status is not Status.PENDING:
                continue
            waits = {shown[each].status for each in operation.waiting_for if each in shown}
            orphan = operation.verdict.code == "order-unknown" and operation.content is not None
            order = operation.content.upstream_order_id if operation.content else None
            if waits and all(_hopeless(shown, each) for each in operation.waiting_for):
                continue
            if orphan and order not in evidence.flash.orders:
                continue
            yield f"{name}: {operation.kind} {_key(operation)} is still pending ({operation.verdict.code or 'no word'})"


def _hopeless(shown: dict[str, Operation], operation_id: str) -> bool:
    """Whether an operation failed, or waits for one that did."""
    operation = shown.get(operation_id)
    if operation is None:
        return False
    if operation.status is Status.FAILED:
        return True
    waits = operation.waiting_for
    return operation.status is Status.PENDING and bool(waits) and all(_hopeless(shown, each) for each in waits)


def nobody_waits_too_long(evidence: Evidence) -> Iterator[str]:
    """The register is never slower than its own wait."""
    for told in evidence.log.told:
        late_s = told.at - told.asked_at - told.ask.wait_s
        if late_s > WAIT_SLACK_S:
            yield f"{_what(told.ask)} was answered {late_s:.3f} s after its wait of {told.ask.wait_s} s"


# ---- order -----------------------------------------------------------------------------------------------------------


def causes_come_first(evidence: Evidence) -> Iterator[str]:
    """A sale after its member's enrollment, a refund after its sale."""
    for effect in evidence.flash.effects:
        till = effect.call.till
        if effect.kind == "refund-too-early":
            order = effect.natural.removeprefix("order:")
            yield from (
                f"a refund of {order} left {till} at {effect.call.left_at:.3f}, before its sale"
                for told in evidence.told("sale")
                if (told.ask.till, told.ask.fields["externalOrderId"]) == (till, order)
                and told.at < effect.call.left_at
                and _stands(evidence, told)
                and _before_its_refund(evidence, told, order, effect)
            )
        elif effect.kind == "sale" and effect.detail["memberId"] is None:
            yield from _enrolled_before(evidence, effect)


def _before_its_refund(evidence: Evidence, sale: Told, order: str, effect: Effect) -> bool:
    """Whether every refund of that order here was accepted after the sale had been acknowledged."""
    asked = evidence.log.first_asked(effect.call.till, "refund", order)
    return asked is not None and asked > sale.at


def _enrolled_before(evidence: Evidence, effect: Effect) -> Iterator[str]:
    member = effect.detail["customer"].get("externalId")
    order = effect.natural.removeprefix("order:")
    first_asked = evidence.log.first_asked(effect.call.till, "sale", order) or 0.0
    for told in evidence.told("enrollment"):
        same = (told.ask.till, told.ask.fields["externalId"]) == (effect.call.till, member)
        if same and told.at < first_asked and _stands(evidence, told):
            yield f"sale {order} left {effect.call.till} before the enrollment of its member {member}"


def _stands(evidence: Evidence, told: Told) -> bool:
    final = evidence.final(told)
    return final is not None and final.status is not Status.DISCARDED


# ---- keys and pauses -------------------------------------------------------------------------------------------------


def keys_stay(evidence: Evidence) -> Iterator[str]:
    """The Idempotency-Key of an operation advances only after a definitive no, or a stored failure."""
    answers: dict[tuple[str, str], list[Heard]] = defaultdict(list)
    in_batches: list[Heard] = []  # a failed batch counts for each of its items
    for heard in evidence.network.heard:
        answers[heard.call.till, heard.call.key].append(heard)
        if heard.call.path.endswith("/batch"):
            in_batches.append(heard)
    operations = Counter(
        (name, _base(operation)) for name, shown in evidence.shown.items() for operation in shown.values()
    )
    batched = _refused_in_batches(evidence)
    last: dict[tuple[str, str], int] = {}
    for call in evidence.network.calls:
        if not call.is_write or call.path.endswith("/batch"):
            continue
        base, generation = _generation_of(call.key)
        known = (call.till, base)
        if known not in operations:
            yield f"{call.text()} has a key that no operation of {call.till} has"
            continue
        before = last.get(known, 1)
        last[known] = max(before, generation)
        if generation <= before:
            continue
        earlier = [base if before == 1 else f"{base}.{before}"]
        heard = [each for key in earlier for each in answers[call.till, key] if each.at <= call.left_at]
        refused = any(each.status in DEFINITIVE and each.code != IN_FLIGHT for each in heard)
        heard += [each for each in in_batches if each.call.till == call.till and each.at <= call.left_at]
        stored = sum(each.status == 500 for each in heard) >= STORED_FAILURES
        several = operations[known] > 1
        if not (refused or stored or several or known in batched):
            yield f"{call.text()} has a new key, and nothing definitive was said under {earlier[0]}"


def _refused_in_batches(evidence: Evidence) -> set[tuple[str, str]]:
    """Sales that were refused as an item of a batch."""
    found: set[tuple[str, str]] = set()
    for heard in evidence.network.heard:
        if heard.call.path == "/orders/batch" and heard.items:
            orders = re.findall(r'"externalOrderId":"([^"]+)"', heard.call.body.decode())
            found |= {
                (heard.call.till, f"sale-{order}")
                for order, status in zip(orders, heard.items, strict=True)
                if status in DEFINITIVE
            }
    return found


def pauses_are_kept(evidence: Evidence) -> Iterator[str]:
    """No call leaves within a Retry-After that its till was told."""
    for heard in evidence.network.heard:
        if heard.retry_after_s < 1:
            continue
        till, ends_at = heard.call.till, heard.at + heard.retry_after_s
        for call in evidence.network.calls:
            if call.till != till or not heard.at + ON_ITS_WAY_S < call.left_at < ends_at - 0.05:
                continue
            if call.life != heard.call.life and _may_be_forgotten(evidence, till, heard, call):
                continue
            asked = f"Flash had asked for {heard.retry_after_s} s at {heard.at:.3f}"
            yield f"{call.text()} left at {call.left_at:.3f}, and {asked}"


def drills_are_kept(evidence: Evidence) -> Iterator[str]:
    """While an outage is rehearsed nothing leaves the till."""
    for till, life, began, until in evidence.log.drills:
        for call in evidence.network.calls:
            if (call.till, call.life) == (till, life) and began < call.left_at < until - 0.001:
                yield f"{call.text()} left at {call.left_at:.3f}, within a drill that began at {began:.3f}"


def _may_be_forgotten(evidence: Evidence, till: str, heard: Heard, call: Call) -> bool:
    """It died before it could note it, or its clock was set since it was started before, and it was started by that."""
    died = any(heard.at <= at <= heard.at + NOTED_WITHIN_S for at in evidence.ended_at[till])
    return died or any(at <= call.left_at for at in evidence.jumped_at[till])


# ---- coupons ---------------------------------------------------------------------------------------------------------


def burns_are_accounted_for(evidence: Evidence) -> Iterator[str]:
    """A coupon that a till burned is honored, or a credit, or a question that is still open; never simply gone."""
    for effect in _burns(evidence):
        found = [each for each in evidence.shown[effect.call.till].values() if each.upstream_key == effect.call.key]
        if not found:
            yield f"{effect.natural} was burned by {effect.call.text()}, which {effect.call.till} knows nothing of"
        for operation in found:
            was = redeemed_of(operation)
            if operation.id in evidence.log.closed or operation.status in {Status.FAILED, Status.PENDING}:
                continue
            if operation.status is not Status.SUCCEEDED or was.honor == (was.credit is not None):
                state = f"{operation.status}, honor={was.honor}, credit={was.credit}"
                yield f"{effect.natural} was burned behind the customer's back: {_key(operation)} is {state}"


def burns_are_waited_for(evidence: Evidence) -> Iterator[str]:
    """A coupon is burned by what left while a register waited; after a no it is never burned."""
    if evidence.plan.offline != "decline":
        return
    for effect in _burns(evidence):
        if not effect.call.waited_for:
            yield f"{effect.natural} was burned by {effect.call.text()}, which left when no register waited for it"


def discounts_are_burned(evidence: Evidence) -> Iterator[str]:
    """Not more discounts than burns; none for a basket that was voided before."""
    voided = {
        (t.ask.till, t.ask.fields["couponId"], t.ask.fields["transactionId"]): t.at
        for t in evidence.log.told
        if t.ask.kind == "void"
    }
    given: dict[tuple[str, str], set[tuple[str, int]]] = defaultdict(set)
    for told in evidence.told("redemption"):
        fields = told.ask.fields
        void_at = voided.get((told.ask.till, fields["couponId"], fields["transactionId"]))
        if told.honor and void_at is not None and void_at <= told.asked_at:
            yield f"{_what(told.ask)} was honored at {told.at:.3f}, and its basket was voided at {void_at:.3f}"
        if told.honor and void_at is None and told.basis != "offline-policy":
            given[told.ask.till, fields["couponId"]].add((fields["transactionId"], fields.get("attempt", 1)))
        if told.honor and told.basis == "flash" and not _was_burned_by(evidence, told):
            yield f"{_what(told.ask)} was honored at {told.at:.3f}, and it burned nothing"
    burned = Counter((effect.call.till, effect.detail["coupon"]) for effect in _burns(evidence))
    for (till, coupon), discounts in given.items():
        closed = sum(each.id in evidence.log.closed for each in evidence.shown[till].values())
        if len(discounts) > burned[till, coupon] + closed:
            yield f"{till} gave {len(discounts)} discounts for {coupon} and burned it {burned[till, coupon]} times"


def _was_burned_by(evidence: Evidence, told: Told) -> bool:
    key = redemption_key(told.ask.till, told.ask.fields)
    return any((effect.call.till, effect.call.key) == (told.ask.till, key) for effect in _burns(evidence))


def a_no_stands(evidence: Evidence) -> Iterator[str]:
    """A redemption that was settled replays its answer: a no never becomes a yes."""
    refused: dict[str, Told] = {}
    for told in sorted(evidence.told("redemption"), key=lambda told: told.at):
        if told.status in SETTLED and not told.honor:
            refused.setdefault(told.id, told)
        elif told.honor and told.id in refused and told.asked_at > refused[told.id].at:
            yield f"{_what(told.ask)} was a no at {refused[told.id].at:.3f} and a yes at {told.at:.3f}"


def offline_honours_are_few(evidence: Evidence) -> Iterator[str]:
    """Without Flash's word only where it is allowed, and one a member and day."""
    given: Counter[tuple[str, str]] = Counter()
    seen: set[str] = set()
    for told in evidence.told("redemption"):
        if not told.honor or told.basis != "offline-policy" or told.id in seen:
            continue
        seen.add(told.id)
        if evidence.plan.offline == "decline":
            yield f"{_what(told.ask)} was honored without Flash's word"
        final = evidence.final(told)
        # A person's to see: refused by Flash, or no longer to be found out (a clock that jumped beyond the key's age).
        lost = final is not None and final.verdict.code in {"honored-offline", "unconfirmed"}
        taken_back = final is not None and (not redeemed_of(final).honor or final.id in evidence.log.closed)
        if not (lost or taken_back or _was_burned_by(evidence, told) or final is None):
            yield f"{_what(told.ask)} was honored without Flash's word, and is neither burned nor shown as lost"
        given[told.ask.till, evidence.flash.coupons[told.ask.fields["couponId"]].member] += 1
    void = any(told.ask.kind == "void" for told in evidence.log.told)
    for (till, member), count in given.items():
        if count > 1 and not void and not evidence.jumped_at[till]:
            yield f"{till} honored {count} coupons of {member} without Flash's word in a day"


def _burns(evidence: Evidence) -> list[Effect]:
    return [effect for effect in evidence.flash.effects if effect.kind == "redemption"]


CHECKS = (
    nothing_is_lost,
    a_yes_has_happened,
    a_word_stands,
    everything_settles,
    nobody_waits_too_long,
    causes_come_first,
    keys_stay,
    pauses_are_kept,
    drills_are_kept,
    burns_are_accounted_for,
    burns_are_waited_for,
    discounts_are_burned,
    a_no_stands,
    offline_honours_are_few,
)


def _what(ask: Ask) -> str:
    shown = "/".join(str(value) for name, value in ask.fields.items() if name not in {"customer", "fullName"})
    return f"{ask.till}'s {ask.kind} {shown}"


def _key(operation: Operation) -> str:
    return operation.upstream_key or f"#{operation.seq}"


def _base(operation: Operation) -> str:
    return operation.content.key if operation.content else ""


def _generation_of(key: str) -> tuple[str, int]:
    found = _GENERATION.match(key)
    assert found is not None
    return found[1], int(found[2] or 1)
