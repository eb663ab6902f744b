"""Lines for a receipt: short, localised, and true when they are printed."""

import string
import subprocess
import sys
import unicodedata
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from babel import Locale

from agent.delivery import Kind
from agent.outbox.state import Status
from agent.receipt import LANGUAGES
from agent.receipt.templates import CATEGORIES, FORMS, built_in, placeholders
from agent.receipt.wording import Wordings

COLUMNS = 40
NOW = datetime(2026, 11, 25, 19, 4).astimezone()


def wording(language, currency="USD", **own):
    return Wordings(language, currency, {language.partition("-")[0]: own}).default


def columns(line):
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in line)


def every_line(of):
    """Each line there is, with numbers that a store sees on any day, in every plural."""
    for count in (0, 1, 2, 5, 12_345):
        for balance in (0, 1, 1820, 1_234_567, -5):
            yield from of.operation("sale", "succeeded", {"awarded": count, "balance": balance})
            yield from of.operation("refund", "succeeded", {"clawedBack": count, "balance": balance})
            yield from of.member(balance, sales=min(count, 999))
            yield from of.member(balance, as_of=NOW, now=NOW)
            yield from of.member(balance, as_of=NOW - timedelta(days=330), now=NOW, local=True)
    yield from of.operation("sale", "succeeded", {"awarded": 0, "reason": "not-a-member"})
    for kind in Kind:
        for status in Status:
            yield from of.operation(kind, status)
    for basis in ("flash", "not-sent", "unconfirmed", "offline-policy", "earlier-redemption", "voided"):
        for honor in (True, False):
            yield from of.redemption(honor, basis)


# ---- every language ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_every_line_in_every_plural_of_its_own(language):
    lines = built_in(language)
    assert lines.keys() == FORMS.keys()
    for name, form in FORMS.items():
        wanted = set(CATEGORIES[language]) if form.counted else {"other"}
        assert lines[name].keys() == wanted, name
        needed = form.placeholders - {"amount"}
        assert all(placeholders(text) == needed for text in lines[name].values()), name


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_plural_categories_are_babels(language):
    assert set(CATEGORIES[language]) == {*Locale.parse(language).plural_form.tags, "other"}


@pytest.mark.parametrize("tag", [*LANGUAGES, "de-AT", "de-CH", "es-MX", "fr-CA", "fr-CH", "en-GB", "en-IN"])
def test_every_line_fits_a_narrow_printer_in_characters_it_has(tag):
    lines = set(every_line(wording(tag)))
    assert len(lines) > 20
    assert {line for line in lines if columns(line) > COLUMNS} == set()
    assert {line for line in lines if not line.isprintable() or line != line.strip()} == set()
    assert not any("{" in line or "}" in line for line in lines)
    if tag[:2] not in {"zh", "ja"}:
        assert "".join(lines).encode("cp858")  # what a European receipt printer has


@pytest.mark.parametrize("language", LANGUAGES)
def test_while_it_is_pending_no_number_is_promised(language):
    of = wording(language)
    for kind in (Kind.SALE, Kind.REFUND, Kind.ENROLLMENT):
        (line,) = of.operation(kind, Status.PENDING, {"awarded": 6, "clawedBack": 6, "balance": 1820})
        assert not any(map(str.isdigit, line))


EARNED = {
    "en": {0: None, 1: "You earned 1 point", 2: "You earned 2 points", 12_345: "You earned 12,345 points"},
    "de": {0: None, 1: "Sie haben 1 Punkt gesammelt", 12_345: "Sie haben 12.345 Punkte gesammelt"},
    "fr": {
        1: "Vous avez gagné 1 point",
        12_345: "Vous avez gagné 12 345 points",
        2_000_000: "Vous avez gagné 2 000 000 de points",
    },
    "es": {1: "Ha ganado 1 punto", 12_345: "Ha ganado 12.345 puntos", 2_000_000: "Ha ganado 2.000.000 de puntos"},
    "zh": {1: "本次获得 1 积分", 12_345: "本次获得 12,345 积分"},
    "ja": {1: "1 ポイント獲得しました", 12_345: "12,345 ポイント獲得しました"},
}
TAKEN = {
    "en": {1: "1 point taken back", 2: "2 points taken back"},
    "de": {1: "1 Punkt abgezogen", 2: "2 Punkte abgezogen"},
    "fr": {1: "1 point retiré", 2: "2 points retirés", 1_000_000: "1 000 000 de points retirés"},
    "es": {1: "1 punto descontado", 2: "2 puntos descontados", 1_000_000: "1.000.000 de puntos descontados"},
    "zh": {1: "已扣回 1 积分", 2: "已扣回 2 积分"},
    "ja": {1: "1 ポイントを取り消しました", 2: "2 ポイントを取り消しました"},
}
NOT_COUNTED = {
    "en": {1: "1 purchase not counted yet", 3: "3 purchases not counted yet"},
    "de": {1: "1 Einkauf noch nicht verbucht", 3: "3 Einkäufe noch nicht verbucht"},
    "fr": {
        1: "1 achat pas encore compté",
        3: "3 achats pas encore comptés",
        1_000_000: "1 000 000 d'achats pas encore comptés",
    },
    "es": {
        1: "1 compra aún sin contabilizar",
        3: "3 compras aún sin contabilizar",
        1_000_000: "1.000.000 de compras sin contabilizar",
    },
    "zh": {1: "1 笔消费尚未计入", 3: "3 笔消费尚未计入"},
    "ja": {1: "1 件の購入が未反映です", 3: "3 件の購入が未反映です"},
}  # fmt: skip


def cases(table):
    return [(language, count, line) for language, lines in table.items() for count, line in lines.items()]


@pytest.mark.parametrize(("language", "count", "line"), cases(EARNED))
def test_points_earned_in_every_plural(language, count, line):
    assert list(wording(language).operation("sale", "succeeded", {"awarded": count})) == ([line] if line else [])


@pytest.mark.parametrize(("language", "count", "line"), cases(TAKEN))
def test_points_taken_back_in_every_plural(language, count, line):
    assert list(wording(language).operation("refund", "succeeded", {"clawedBack": count})) == [line]


@pytest.mark.parametrize(("language", "count", "line"), cases(NOT_COUNTED))
def test_purchases_not_counted_yet_in_every_plural(language, count, line):
    assert list(wording(language).member(None, sales=count)) == [line]


@pytest.mark.parametrize(
    ("tag", "balance", "dated", "timed"),
    [
        ("en", "Balance: 1,820", "Balance (12/30/25 7:04 PM): 1,820", "Balance (7:04 PM): 1,820"),
        ("de", "Punktestand: 1.820", "Punktestand (30.12.25 19:04): 1.820", "Punktestand (19:04): 1.820"),
        ("de-CH", "Punktestand: 1'820", "Punktestand (30.12.25 19:04): 1'820", "Punktestand (19:04): 1'820"),
        ("fr", "Solde de points : 1 820", "Solde (30/12/2025 19:04) : 1 820", "Solde (19:04) : 1 820"),
        ("es", "Saldo de puntos: 1.820", "Saldo (30/12/25 19:04): 1.820", "Saldo (19:04): 1.820"),
        ("zh", "积分余额：1,820", "积分余额（2025/12/30 19:04）：1,820", "积分余额（19:04）：1,820"),
        ("ja", "ポイント残高：1,820", "残高（2025/12/30 19:04）：1,820", "残高（19:04）：1,820"),
    ],
)
def test_a_balance_and_when_it_was_seen(tag, balance, dated, timed):
    of = wording(tag)
    assert list(of.operation("sale", "succeeded", {"awarded": 0, "balance": 1820})) == [balance]
    assert list(of.member(1820)) == [balance]
    assert list(of.member(1820, as_of=NOW - timedelta(days=330), now=NOW)) == [dated]
    assert list(of.member(1820, as_of=NOW.astimezone(UTC), now=NOW)) == [timed]


def test_a_region_that_babel_lacks_writes_as_its_language_does():
    assert list(wording("de-QQ").member(1820)) == ["Punktestand: 1.820"]


# ---- what is said of what ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "printed"),
    [
        ({"awarded": 6, "balance": 1820}, ["You earned 6 points", "Balance: 1,820"]),
        ({"awarded": 6, "balance": None}, ["You earned 6 points"]),
        ({"awarded": 6, "balance": "1820"}, ["You earned 6 points"]),
        ({"awarded": 6, "balance": True}, ["You earned 6 points"]),
        ({"awarded": True, "balance": -5}, ["Balance: -5"]),
        ({"awarded": -6, "balance": 0}, ["Balance: 0"]),
        ({"awarded": 10**15, "balance": 10**5000}, []),
        ({"awarded": 0, "reason": "daily-cap", "balance": 7}, ["Balance: 7"]),
        ({"awarded": 0, "reason": "not-a-member"}, ["No points: membership not found"]),
        ({}, []),
    ],
)
def test_a_settled_sale_says_what_flash_said(result, printed):
    assert list(wording("en").operation("sale", "succeeded", result)) == printed


@pytest.mark.parametrize(
    ("result", "printed"),
    [
        ({"clawedBack": 6, "balance": 1814}, ["6 points taken back", "Balance: 1,814"]),
        ({"clawedBack": 1, "balance": -5}, ["1 point taken back", "Balance: -5"]),
        ({"clawedBack": 0, "balance": 1814}, ["Balance: 1,814"]),
        ({"clawedBack": 0, "awarded": 6}, []),
    ],
)
def test_a_settled_refund_says_what_was_taken_back(result, printed):
    assert list(wording("en").operation("refund", "succeeded", result)) == printed


@pytest.mark.parametrize(
    ("kind", "status", "printed"),
    [
        ("sale", "pending", ["Points not confirmed yet"]),
        ("sale", "failed", ["Points could not be booked"]),
        ("sale", "declined", ["Points could not be booked"]),
        ("sale", "discarded", []),
        ("refund", "pending", ["Points not updated yet"]),
        ("refund", "failed", ["Points could not be adjusted"]),
        ("refund", "declined", []),
        ("refund", "discarded", []),
        ("enrollment", "pending", ["Membership not confirmed yet"]),
        ("enrollment", "succeeded", ["Welcome! Your membership is active"]),
        ("enrollment", "failed", ["Membership could not be set up"]),
        ("enrollment", "declined", ["Membership could not be set up"]),
        ("enrollment", "discarded", []),
    ],
)
def test_what_each_outcome_says(kind, status, printed):
    assert list(wording("en").operation(kind, status, {"awarded": 0})) == printed


@pytest.mark.parametrize("kind", [Kind.REDEMPTION, Kind.STORE, Kind.CATALOG])
@pytest.mark.parametrize("status", list(Status))
def test_other_operations_print_nothing_here(kind, status):
    assert list(wording("en").operation(kind, status, {"awarded": 6, "clawedBack": 6, "balance": 1820})) == []


@pytest.mark.parametrize(
    ("honor", "basis", "printed"),
    [
        (True, "flash", ["Coupon accepted"]),
        (True, "offline-policy", ["Coupon accepted"]),
        (True, "earlier-redemption", ["Coupon accepted"]),
        (True, "something-new", ["Coupon accepted"]),
        (False, "flash", ["Coupon not accepted"]),
        (False, "voided", ["Coupon not accepted"]),
        (False, "something-new", ["Coupon not accepted"]),
        (False, None, ["Coupon not accepted"]),
        (False, "not-sent", ["Coupon not used: could not be checked"]),
        (False, "unconfirmed", ["Coupon not applied: not confirmed"]),
        (None, None, []),
    ],
)
def test_a_redemption_says_whether_it_is_honored_and_why_not(honor, basis, printed):
    assert list(wording("en").redemption(honor, basis)) == printed


@pytest.mark.parametrize(
    ("values", "printed"),
    [
        ({"balance": None}, []),
        ({"balance": 1820, "sales": 2}, ["Balance: 1,820", "2 purchases not counted yet"]),
        ({"balance": None, "local": True}, ["Membership not confirmed yet"]),
        ({"balance": None, "local": True, "sales": 1}, ["Membership not confirmed yet", "1 purchase not counted yet"]),
        ({"balance": 7, "sales": 0, "amount": Decimal("240.00")}, ["Balance: 7"]),
    ],
)
def test_a_look_up_says_what_is_known(values, printed):
    assert list(wording("en").member(**values)) == printed


# ---- money, and a store's own lines --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tag", "currency", "request_", "printed"),
    [
        ("en", "USD", {"totalAmount": Decimal("1234.5")}, "$1,234.50 kept"),
        ("de", "EUR", {"totalAmount": 120}, "120,00 € kept"),
        ("de-AT", "EUR", {"totalAmount": "1234.50"}, "€ 1.234,50 kept"),
        ("ja", "JPY", {"totalAmount": 1234}, "￥1,234 kept"),
        ("fr", "USD", {"totalAmount": 1234, "currency": "EUR"}, "1 234,00 € kept"),
        ("en", "KWD", {"totalAmount": Decimal("1.5")}, "KWD 1.500 kept"),
    ],
)
def test_money_is_written_as_the_locale_and_the_currency_ask(tag, currency, request_, printed):
    own = {"sale_pending": {"other": "{amount} kept"}}
    of = wording(tag, currency, **own)
    assert list(of.operation("sale", "pending", request=request_)) == [printed]


def test_a_line_for_which_a_value_is_unknown_is_left_out():
    own = {"sale_pending": {"other": "{amount} kept"}, "sale_earned": {"other": "{points} for {amount}"}}
    of = wording("en", **own)
    assert list(of.operation("sale", "pending", request={})) == []
    assert list(of.operation("sale", "succeeded", {"awarded": 6, "balance": 7})) == ["Balance: 7"]
    assert list(of.operation("sale", "succeeded", {"awarded": 6}, {"totalAmount": 9})) == ["6 for $9.00"]


def test_an_empty_text_prints_nothing_and_other_lines_stay():
    of = wording("en", balance={"other": ""}, sale_pending={"other": ""})
    assert list(of.operation("sale", "pending")) == []
    assert list(of.operation("sale", "succeeded", {"awarded": 6, "balance": 7})) == ["You earned 6 points"]


def test_a_plural_that_a_store_leaves_out_is_its_other():
    of = wording("fr", sale_earned={"one": "{points} pt", "other": "{points} pts"})
    said = ["".join(of.operation("sale", "succeeded", {"awarded": count})) for count in (1, 2, 1_000_000)]
    assert said == ["1 pt", "2 pts", "1 000 000 pts"]


# ---- how light it is -----------------------------------------------------------------------------------------------


def test_many_regions_do_not_fill_the_memory():
    wordings = Wordings("de", "EUR")
    for first in string.ascii_uppercase:
        for second in string.ascii_uppercase:
            wordings.asked(f"en-{first}{second}")
    assert len(wordings._by_tag) <= 24
    assert wordings.asked("fr-CH").tag in {"fr-CH", "fr"}
    assert {wordings.asked(language).tag for language in LANGUAGES} == set(LANGUAGES)


def test_babel_is_loaded_by_the_first_number_alone():
    script = """
import sys
import agent.app
from agent.receipt.wording import Wordings
wordings = Wordings("de", "EUR")
for language in ("de", "fr;q=0.5, ja", "zh"):
    wording = wordings.asked(language)
    for kind in ("sale", "refund", "enrollment"):
        assert wording.operation(kind, "pending") and wording.operation(kind, "failed")
    wording.operation("sale", "succeeded", {"awarded": 0, "reason": "not-a-member"})
    wording.redemption(True, "flash")
assert not [name for name in sys.modules if name.startswith("babel")], "too early"
wordings.default.operation("sale", "succeeded", {"awarded": 6})
assert "babel.numbers" in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=30)
