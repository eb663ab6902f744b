"""The answers, asked one by one at a terminal; what can be checked is checked at once, while it can be mended.

Run again, every question's default is the present setting.
"""

import socket
from typing import Any

from pydantic import SecretStr

from agent.errors import AgentError
from agent.flash.address import FlashAddress
from agent.setup import answers, findings, numbers, ports
from agent.setup.answers import Given
from agent.setup.examine import KeyRefusedError, NoWayError
from agent.setup.findings import Keys
from agent.setup.place import Place
from agent.setup.terminal import Terminal

_SHOWN_STORES = 20
_NEW = "new"
_NONE = "none"


class Questions:
    """One round of questions. `known` are the present settings as answers."""

    def __init__(
        self, terminal: Terminal, place: Place, known: dict[str, Any], *, known_key: SecretStr | None, has_key: bool
    ) -> None:
        self._terminal = terminal
        self._place = place
        self._known = known
        self._known_key = known_key
        self._has_key = has_key
        self._table: dict[str, Any] = {}
        self.unchecked = False

    def run(self, *, unchecked: bool) -> Given:
        """All of them; raises AgentError where the questions end."""
        self.unchecked = unchecked
        self._terminal.say("Enter takes what stands in brackets. Nothing is stored before you have seen it all.\n")
        self._ask("base_url", "Flash's address", "https://flash.socialhub.ai/api/v2")
        keys = self._keys()
        self._till()
        self._store(keys)
        self._numbers()
        self._registers()
        return answers.judge(self._table, "The answers", known=self._known, has_key=self._has_key)

    def _ask(self, name: str, question: str, default: str | None = None) -> None:
        """One answer; a word that takes a setting away is only known where there is one."""
        known = self._known.get(name)
        given = self._terminal.ask(
            question, str(known) if known is not None else default, lambda value: answers.fault_in(name, value)
        )
        self._table[name] = given

    def _optional(self, name: str, question: str) -> None:
        known = str(self._known.get(name) or _NONE)
        given = self._terminal.ask(
            question, known, lambda value: None if value == _NONE else answers.fault_in(name, value)
        )
        self._table[name] = "" if given == _NONE else given

    # ---- Flash ---------------------------------------------------------------------------------------------------

    def _keys(self) -> Keys:
        """Both keys, and what Flash says of them; empty where it is not asked."""
        while True:
            self._ask_for_keys()
            while not self.unchecked:
                try:
                    return self._seen()
                except KeyRefusedError as refusal:
                    self._terminal.say(f"  {refusal}")
                    break
                except NoWayError as trouble:
                    self._terminal.say(f"  {trouble}")
                    self._what_now()
            if self.unchecked:
                return Keys(None, None)

    def _ask_for_keys(self) -> None:
        keep = "; Enter keeps the one that is there" if self._has_key else ""
        for which, more, optional in (("write", keep, self._has_key), ("read", "; Enter: none, or as it is", True)):
            name = f"{which}_key"
            self._table.pop(name, None)
            given = self._terminal.secret(
                f"The {which} key (not shown{more})",
                lambda value, name=name: answers.fault_in(name, value),  # type: ignore[misc]
                optional=optional,
            )
            if given:
                self._table[name] = given

    def _seen(self) -> Keys:
        proxy, ca_file = (self._table.get(name, self._known.get(name)) for name in ("proxy", "ca_file"))
        where = FlashAddress(
            self._table["base_url"].rstrip("/"), till="setup", proxy=proxy or None, ca_file=ca_file or None
        )
        write, read = (
            SecretStr(key) if (key := self._table.get(f"{which}_key")) else None for which in ("write", "read")
        )
        self._terminal.say("  asking Flash …")
        keys = findings.keys_seen(where, write or self._known_key, read)
        for note in findings.notes_on(keys):
            self._terminal.say(f"  Note: {note}")
        if keys.write or keys.read:
            self._terminal.say("  Flash takes the key." if not keys.read else "  Flash takes both keys.")
        return keys

    def _what_now(self) -> None:
        """There is no way to Flash."""
        chosen = self._terminal.pick(
            "What now?",
            {
                "t": "try again",
                "p": "name a proxy",
                "c": "name a file of certificates (CA) to trust",
                "a": "change Flash's address",
                "u": "go on unchecked: keys and store are taken as they are",
                "q": "quit; nothing was changed",
            },
        )
        match chosen:
            case "p":
                self._optional("proxy", f"Proxy, such as http://proxy.example.com:3128 ({_NONE}: none)")
            case "c":
                self._optional("ca_file", f"File of certificates, PEM ({_NONE}: none)")
            case "a":
                self._ask("base_url", "Flash's address")
            case "u":
                self.unchecked = True
            case "q":
                raise AgentError("Nothing was changed.")

    # ---- till and store ------------------------------------------------------------------------------------------

    def _till(self) -> None:
        host = socket.gethostname().partition(".")[0]
        self._ask("till_id", "Which till is this", host if answers.fault_in("till_id", host) is None else None)

    def _store(self, keys: Keys) -> None:
        stores = keys.stores
        if stores is None:
            self._ask("store_id", "Flash's id of the store")
        else:
            self._choose_store(keys)
        self._ask("currency", "Currency, such as USD")
        self._ask("language", "Language of receipts (en, de, fr, es, zh, ja)", "en")

    def _choose_store(self, keys: Keys) -> None:
        stores = keys.stores or ()
        for number, store in enumerate(stores[:_SHOWN_STORES], 1):
            self._terminal.say(f"  {number:>2}  {store}")
        if len(stores) > _SHOWN_STORES:
            self._terminal.say(f"      and {len(stores) - _SHOWN_STORES} more")
        by_number = {str(number): store.id for number, store in enumerate(stores[:_SHOWN_STORES], 1)}

        def find(value: str) -> str | None:
            return by_number.get(value) or next((store.id for store in stores if store.is_called(value)), None)

        default = self._known.get("store_id") or (stores[0].id if len(stores) == 1 else None)
        given = self._terminal.ask(
            f"The store: its number or id, or {_NEW} to register one",
            default,
            lambda value: None if value == _NEW or find(value) else "is no store that Flash shows to this key",
        )
        if given == _NEW:
            self._new_store(keys)
        else:
            self._table["store_id"] = find(given)

    def _new_store(self, keys: Keys) -> None:
        """Asked now, registered once everything has been agreed to."""
        self._ask("store_external_id", "The chain's own id of the store, such as 0018")
        known = next((s for s in keys.stores or () if s.is_called(self._table["store_external_id"])), None)
        if known is not None:
            self._terminal.say(f"  Flash has it already: {known}.")
            del self._table["store_external_id"]
            self._table["store_id"] = known.id
            return
        self._ask("store_name", "Its name")
        city = self._terminal.ask(f"Its city ({_NONE}: none)", _NONE)
        if city != _NONE:
            self._table["store_city"] = city
        self._table["register_store"] = True

    def _numbers(self) -> None:
        """No default but the present setting: a wrong one costs points, or counts two sales as one."""
        store, till = self._table.get("store_id") or "st_new", self._table["till_id"]
        self._terminal.say("\nDo order numbers repeat? Two sales under one number would count as one.")
        for number, way in enumerate(numbers.WAYS, 1):
            shown = numbers.example(way.template(numbers.ORDER), store, till)
            self._terminal.say(f"  {number}  {way.name}: {way.says}\n     90871 goes to Flash as {shown}")
        by_number = {str(number): way.name for number, way in enumerate(numbers.WAYS, 1)}
        given = self._terminal.ask(
            "Which (1 to 4), or a template such as {store_id}-{external_order_id}",
            self._known.get("order_numbers"),
            lambda value: answers.fault_in("order_numbers", by_number.get(value, value)),
        )
        self._table["order_numbers"] = by_number.get(given, given)
        if self._table["order_numbers"] == self._known.get("order_numbers") and "refund_numbers" in self._known:
            self._table["refund_numbers"] = self._known["refund_numbers"]

    # ---- registers -----------------------------------------------------------------------------------------------

    def _registers(self) -> None:
        self._terminal.say()
        self._port()
        origins = " ".join(self._known.get("allowed_origins", ())) or _NONE

        def parts(text: str) -> list[str]:
            return [] if text == _NONE else text.replace(",", " ").split()

        given = self._terminal.ask(
            "Registers in a browser: their origins, such as https://pos.example.com",
            origins,
            lambda text: answers.fault_in("allowed_origins", parts(text)),
        )
        self._table["allowed_origins"] = parts(given)
        self._optional("recovery", "Recovery recipient, for a dead till's disk (flash-agent rescue keygen makes it)")
        self._ask(
            "coupons_offline", "Coupons while Flash cannot be asked: decline, or honor a limited number", "decline"
        )

    def _port(self) -> None:
        while True:
            usual = int(self._known.get("port", findings.USUAL_PORT))
            default = usual if ports.is_free(usual, self._place.data_dir) else ports.next_free(usual)
            if default != usual:
                self._terminal.say(f"  Port {usual} is taken{ports.by(usual)}; {default} is free.")
            given = self._terminal.ask(
                "Port for the registers", str(default), lambda value: answers.fault_in("port", value)
            )
            try:
                self._table["port"] = ports.settle(
                    default if given == "auto" else int(given), self._place.data_dir, usual
                )
            except AgentError as taken:
                self._terminal.say(f"  {taken}")
            else:
                return
