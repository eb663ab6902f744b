"""Receipt lines over the real API: the store's language, the register's, a store's own words."""

import pytest

from tests.support.agents import running, settings, strict_flash
from tests.support.redeeming import coupon, redeem

ADA = {"externalId": "POS-CUST-5512"}


@pytest.fixture
def flash():
    with strict_flash() as server:
        yield server


@pytest.fixture
async def german(tmp_path, flash):
    chosen = settings(flash.base_url, store={"language": "de", "currency": "EUR"})
    async with running(tmp_path, chosen) as register:
        yield register


def sale(order="1", customer=ADA, **fields):
    return {"externalOrderId": order, "customer": customer, "totalAmount": 120, **fields}


async def test_the_stores_language_is_the_default_and_no_header_says_so(german):
    answer = await german.sell(wait=10)
    assert answer.json["receipt"] == ["Sie haben 6 Punkte gesammelt", "Punktestand: 1.820"]
    assert "Content-Language" not in answer.headers


@pytest.mark.parametrize(
    ("asked", "tag", "receipt"),
    [
        ("fr-CH, de;q=0.5", "fr-CH", ["Vous avez gagné 6 points", "Solde de points : 1 820"]),
        ("de-CH", "de-CH", ["Sie haben 6 Punkte gesammelt", "Punktestand: 1'820"]),
        ("es", "es", ["Ha ganado 6 puntos", "Saldo de puntos: 1.820"]),
        ("zh-Hans-CN", "zh", ["本次获得 6 积分", "积分余额：1,820"]),
        ("ja", "ja", ["6 ポイント獲得しました", "ポイント残高：1,820"]),
        ("en;q=0.2, it", "en", ["You earned 6 points", "Balance: 1,820"]),
        ("it, *;q=0.1", "de", ["Sie haben 6 Punkte gesammelt", "Punktestand: 1.820"]),
        ("no such language", "de", ["Sie haben 6 Punkte gesammelt", "Punktestand: 1.820"]),
    ],
)
async def test_the_register_asks_for_another_language(german, asked, tag, receipt):
    answer = await german.call("POST", "/v1/sales", sale(), Prefer="wait=10", Accept_Language=asked)
    assert answer.json["receipt"] == receipt
    assert answer.headers["Content-Language"] == tag
    assert answer.headers["Cache-Control"] == "no-store"


async def test_a_replay_repeats_the_first_answer_in_the_language_asked_for(german):
    first = (await german.sell("1", wait=10)).json
    await german.sell("2", wait=10)
    again = await german.call("POST", "/v1/sales", sale(), Accept_Language="en")
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json == {**first, "replayed": True, "receipt": ["You earned 6 points", "Balance: 1,820"]}
    shown = await german.call("GET", first["href"], Accept_Language="ja")
    assert shown.json["receipt"][0] == "6 ポイント獲得しました"
    assert shown.headers["Content-Language"] == "ja"
    listed = await german.call("GET", "/v1/operations", Accept_Language="fr")
    assert [one["receipt"][-1] for one in listed.json["operations"]] == [
        "Solde de points : 1 826",
        "Solde de points : 1 820",
    ]
    assert listed.headers["Content-Language"] == "fr"


async def test_headers_given_twice_count_together(german):
    async with german.session.get(
        f"{german.base_url}/v1/operations",
        headers=[*german.headers().items(), ("Accept-Language", "it"), ("Accept-Language", "fr")],
    ) as response:
        assert response.headers["Content-Language"] == "fr"


async def test_every_outcome_says_what_is_true(german, flash):
    flash.poison("3", 422)
    stranger = await german.call("POST", "/v1/sales", sale("2", {"externalId": "nobody"}), Prefer="wait=10")
    assert stranger.json["receipt"] == ["Keine Punkte: Mitglied nicht gefunden"]
    poison = await german.sell("3", wait=10)
    assert (poison.json["status"], poison.json["receipt"]) == ("failed", ["Punkte konnten nicht gebucht werden"])
    discard = await german.call(
        "POST", f"{poison.json['href']}/discard", {"reason": "test"}, scope="operator", Accept_Language="en"
    )
    assert discard.json["receipt"] == []
    await german.sell("4", wait=10)
    refund = await german.call("POST", "/v1/refunds", {"externalOrderId": "4", "refundId": "r"}, Prefer="wait=10")
    assert refund.json["receipt"] == ["6 Punkte abgezogen", "Punktestand: 1.814"]
    enrolled = await german.call(
        "POST", "/v1/enrollments", {"email": "bea@example.com", "fullName": "Bea Canary"}, Prefer="wait=10"
    )
    assert enrolled.json["receipt"] == ["Willkommen im Treueprogramm!"]


async def test_offline_nothing_is_promised(tmp_path):
    async with running(tmp_path, settings(store={"language": "fr"})) as register:
        sold = await register.sell("1")
        assert (sold.json["status"], sold.json["receipt"]) == ("pending", ["Points pas encore confirmés"])
        refund = await register.call("POST", "/v1/refunds", {"externalOrderId": "1", "refundId": "r"})
        assert refund.json["receipt"] == ["Points pas encore mis à jour"]
        enrolled = await register.call("POST", "/v1/enrollments", {"email": "bea@example.com"}, Accept_Language="es")
        assert enrolled.json["receipt"] == ["Inscripción aún sin confirmar"]


async def test_a_stores_own_words(tmp_path, flash):
    own = tmp_path / "receipt.toml"
    earned = 'one = "+{points} pt for {amount}"\nother = "+{points} pts for {amount}"'
    own.write_text(f'[en]\nbalance = ""\n[en.sale_earned]\n{earned}\n')
    chosen = settings(flash.base_url, receipt={"templates_file": str(own)})
    async with running(tmp_path / "data", chosen) as register:
        assert (await register.sell("1", "1234.00", wait=10)).json["receipt"] == ["+61 pts for $1,234.00"]
        assert (await register.sell("2", 20, wait=10, currency="EUR")).json["receipt"] == ["+1 pt for €20.00"]
        german = await register.call("POST", "/v1/sales", sale("2", totalAmount=20), Accept_Language="de")
        assert german.json["receipt"][0] == "Sie haben 1 Punkt gesammelt"


async def test_a_store_may_keep_registers_to_its_language(tmp_path, flash):
    chosen = settings(flash.base_url, store={"language": "de"}, receipt={"negotiate": False})
    async with running(tmp_path, chosen) as register:
        answer = await register.call("POST", "/v1/sales", sale(), Prefer="wait=10", Accept_Language="en-US,en;q=0.9")
        assert answer.json["receipt"][-1] == "Punktestand: 1.820"
        assert answer.headers["Content-Language"] == "de"


async def test_no_line_holds_who_it_is(german):
    enrolled = await german.call(
        "POST", "/v1/enrollments", {"email": "canary@example.com", "fullName": "Canary"}, Prefer="wait=10"
    )
    sold = await german.call("POST", "/v1/sales", sale("9", {"email": "canary@example.com"}), Prefer="wait=10")
    assert "anary" not in "".join(enrolled.json["receipt"] + sold.json["receipt"])


async def test_a_redemption_says_whether_it_is_honored_in_the_language_asked_for(german, flash):
    flash.set(strict_redeem=False)
    coupon(flash)
    honored = await redeem(german)
    assert (honored.json["honor"], honored.json["receipt"]) == (True, ["Coupon angenommen"])
    used = await redeem(german, "T-2")
    assert (used.json["honor"], used.json["receipt"]) == (False, ["Coupon nicht angenommen"])
    shown = await german.call("GET", honored.json["href"], Accept_Language="ja")
    assert shown.json["receipt"] == ["クーポンを適用しました"]
    flash.stop()
    unsent = await redeem(german, "T-3", "C-6")
    assert (unsent.json["basis"], unsent.json["receipt"]) == ("not-sent", ["Coupon nicht eingelöst: nicht prüfbar"])


async def test_a_look_up_says_what_is_known(german, flash):
    look = "/v1/members?externalId=POS-CUST-5512"
    assert (await german.call("GET", look)).json["receipt"] == ["Punktestand: 1.814"]
    french = await german.call("GET", look, Accept_Language="fr")
    assert (french.json["receipt"], french.headers["Content-Language"]) == (["Solde de points : 1 814"], "fr")
    flash.stop()
    await german.sell("1")
    await german.sell("2")
    receipt = (await german.call("GET", look, Accept_Language="en")).json["receipt"]
    assert receipt[-1] == "2 purchases not counted yet"
    assert receipt[0].endswith(": 1,814")
