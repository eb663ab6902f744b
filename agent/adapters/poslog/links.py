"""The links of a transaction to others, and what they say it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from xml.etree.ElementTree import Element

from agent.adapters.poslog.options import PoslogOptions, is_one_of, plain_code
from agent.adapters.xml_documents import attribute, children, content

_POST_VOID = "PostVoid"


def return_link(transaction: Element, basket: Element, options: PoslogOptions) -> Element | None:
    """The link of a basket as a whole to the sale whose items it takes back, if it has one; its transaction's too."""
    others = (*options.void_reasons, *options.resume_reasons)
    links = [link for holder in (basket, transaction) for link in children(holder, "TransactionLink")]
    return next((link for link in links if not is_one_of(reason_of(link), others)), None)


@dataclass(frozen=True, slots=True)
class PostVoid:
    """A transaction that takes an earlier one back as a whole; `links` say which, and may be none."""

    links: Sequence[Element]


def post_void_of(transaction: Element, parts: Sequence[Element], options: PoslogOptions) -> PostVoid | None:
    """What the transaction voids, where that is what it does.

    It says so by a PostVoid element, by the reason of its link, or by its status together with a link.
    """
    holders = [transaction, *parts]
    marks = [mark for holder in holders for mark in children(holder, _POST_VOID)]
    links = list(chain.from_iterable(children(holder, "TransactionLink") for holder in (*holders, *marks)))
    links = [link for link in links if not is_one_of(reason_of(link), options.resume_reasons)]
    voiding = [link for link in links if is_one_of(reason_of(link), options.void_reasons)]
    if voiding:
        return PostVoid(voiding)
    if marks:
        return PostVoid(links or [mark for mark in marks if _names_one(mark)])
    if links and any(plain_code(status_of(part)) == "postvoided" for part in parts):
        return PostVoid(links)
    return None


def status_of(basket: Element) -> str | None:
    """The TransactionStatus of a basket."""
    return attribute(basket, "TransactionStatus") or content(basket, "TransactionStatus")


def reason_of(link: Element) -> str | None:
    """Why a link is there."""
    return attribute(link, "ReasonCode") or content(link, "ReasonCode")


def _names_one(mark: Element) -> bool:
    return bool(content(mark, "SequenceNumber") or content(mark, "TransactionID"))
