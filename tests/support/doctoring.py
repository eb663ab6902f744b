"""One till for an agent and its doctor, and what the doctor said of it."""

import dataclasses
import json
import time

from tests.support.agents import WRITE_KEY, agent_process
from tests.support.commands import flash_agent, post

TEMPLATE = "{store_id}-{till_id}-{business_date}-{external_order_id}"
# What this machine may have, whatever is tested: none is an error, and none is what a case is about.
OF_THE_MACHINE = {"disk-in-memory", "disk-slow", "disk-stalls", "disk-low", "files-slow", "files-held"}
TROUBLE = ("error", "warning")


class Till:
    """The settings of one till, for its agent and its doctor alike."""

    def __init__(self, folder, base_url):
        self.data = folder / "data"
        self.settings = {
            "FLASH_AGENT_FLASH__BASE_URL": base_url,
            "FLASH_AGENT_FLASH__WRITE_KEY": WRITE_KEY,
            "FLASH_AGENT_STORE__STORE_ID": "st_1",
            "FLASH_AGENT_API__PORT": "0",
            "FLASH_AGENT_ORDERS__ID_TEMPLATE": TEMPLATE,
            "FLASH_AGENT_RELAY__START_JITTER_S": "0",
            "FLASH_AGENT_RELAY__HOLD_PROBE_S": "3600",
        }

    def set(self, **settings):
        self.settings |= {f"FLASH_AGENT_{name}": str(value) for name, value in settings.items()}

    def agent(self):
        return agent_process(self.data, self.settings["FLASH_AGENT_FLASH__BASE_URL"], **self.settings)

    def doctor(self, *arguments):
        begun = time.monotonic()
        done = flash_agent("doctor", "--json", "--data-dir", self.data, *arguments, **self.settings)
        assert done.stderr == "", done.stderr
        return Seen(done.returncode, json.loads(done.stdout), time.monotonic() - begun)


@dataclasses.dataclass
class Seen:
    code: int
    document: dict
    took_s: float

    def codes(self, *severities):
        found = {each["code"] for each in self.document["findings"] if each["severity"] in severities}
        return found - OF_THE_MACHINE

    @property
    def of_the_machine(self):
        """The checks that may not end well here, whatever is tested."""
        return {each["check"] for each in self.document["findings"] if each["code"] in OF_THE_MACHINE}

    @property
    def trouble(self):
        return self.codes(*TROUBLE)

    def __getitem__(self, code):
        (found,) = (each for each in self.document["findings"] if each["code"] == code)
        return found


def sells(agent, count):
    for number in range(count):
        sale = {"externalOrderId": f"o{number}", "businessDate": "2026-11-25", "totalAmount": 1}
        post(agent, "sales", {**sale, "customer": {"externalId": "POS-CUST-5512"}})
