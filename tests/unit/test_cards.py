"""Card numbers are masked in free text; what is not one is left alone."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cards import mask_card_numbers

CARDS = {  # published test numbers, 13 to 19 digits
    "4222222222222": "*********2222",
    "378282246310005": "***********0005",
    "4111111111111111": "************1111",
    "6304000000000000000": "***************0000",
}


def passes_luhn(digits):
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits))]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


@pytest.mark.parametrize(("card", "masked"), CARDS.items())
@pytest.mark.parametrize(
    "around", ["{}", "paid with {}.", "card:{},", "({})", "Ada{}Lovelace", "{}\nthanks", "no. {} ok"]
)
def test_a_card_number_keeps_its_last_four(around, card, masked):
    assert mask_card_numbers(around.format(card)) == around.format(masked)


@pytest.mark.parametrize("separator", [" ", "-", "."])
def test_the_groups_that_people_type_are_masked_too(separator):
    card = separator.join(["4111", "1111", "1111", "1111"])
    assert mask_card_numbers(f"card {card} declined") == "card ************1111 declined"


@pytest.mark.parametrize(
    "text",
    ["5 4111111111111111", "4111111111111111 2", "till 3 4111 1111 1111 1111", "4111 1111 1111 1111 12/27",
     "4111111111111111 123", "12.50 4111111111111111", "2026-11-22 4111111111111111", "4111111111111111-1"],
)  # fmt: skip
def test_a_number_beside_a_card_number_does_not_hide_it(text):
    assert "411111111111" not in re.sub(r"[ \-.]", "", mask_card_numbers(text))


def test_every_card_in_a_text_is_masked():
    assert mask_card_numbers("4111111111111111, 378282246310005") == "************1111, ***********0005"


@pytest.mark.parametrize(
    "text",
    ["", "no digits", "90871", "411111111111", "4111111111111112", "1234567890123456", "a4b1c1d1e1f1g1h1i1j1k1l1m",
     "41111111111111110000", "+49 30 1234567", "2026-11-22T19:04:00", "2 x 4.50 = 9.00"],
)  # fmt: skip
def test_short_long_and_other_numbers_are_left_alone(text):
    assert mask_card_numbers(text) == text


def with_check_digit(start):
    return next(start + digit for digit in "0123456789" if passes_luhn(start + digit))


NUMBERS = st.text("0123456789", min_size=12, max_size=18).map(with_check_digit)
NOISE = st.sampled_from(["", " ", "-", ".", "x", " 5 ", "12/27", "2026-11-22", ", "])


@given(st.lists(st.tuples(NOISE, NUMBERS, NOISE), min_size=1, max_size=3))
def test_no_run_of_13_to_19_digits_that_passes_luhn_survives(parts):
    text = "".join(piece for part in parts for piece in part)
    for run in re.findall(r"\d+", mask_card_numbers(text)):
        assert not (13 <= len(run) <= 19 and passes_luhn(run))


@given(NUMBERS, st.sampled_from(["", " ", "-", "."]), st.integers(1, 5))
def test_any_card_number_in_any_grouping_is_masked(digits, separator, group):
    written = separator.join(digits[place : place + group] for place in range(0, len(digits), group))
    assert mask_card_numbers(f"card {written}!") == f"card {'*' * (len(digits) - 4)}{digits[-4:]}!"
