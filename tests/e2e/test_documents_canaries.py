"""Customers in other systems' documents, by every way in: nothing of them is written anywhere but into sealed rows."""

import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from agent.adapters import registry
from tests.adapters.golden import FIXTURES, Case, cases
from tests.adapters.test_conformance import personal
from tests.support.agents import AgentProcess, strict_flash
from tests.support.canaries import Canaries, files_below
from tests.support.commands import flash_agent, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]
OWN = [case for case in cases() if case.path is not None and case.path.is_relative_to(FIXTURES)]


@pytest.fixture
def canaries() -> Canaries:
    return Canaries.invented(random.Random(20261122))


def with_canaries(case: Case, canaries: Canaries) -> bytes:
    """A fixture whose customers are the canary."""
    assert case.path is not None
    document = case.path.read_bytes()
    for value in sorted(set().union(*map(personal, case.parse(document))), key=len, reverse=True):
        name = "email" if "@" in value else "external id"
        document = document.replace(value.encode(), canaries.persons[name].encode())
    return document


def instead_of_amounts(document: bytes, canaries: Canaries) -> bytes:
    """A document with a customer's address where money should stand."""
    email = canaries.persons["email"].encode()
    document = re.sub(rb'(?:(?<=>)|(?<=mount": ")|(?<=rice": "))-?\d+[.,]\d{2}(?=["<])', email, document)
    return re.sub(rb'(?:(?<=mount": )|(?<=otal": )|(?<=rice": ))-?\d+(\.\d+)?', b'"' + email + b'"', document)


def options_of(name: str) -> dict[str, Any]:
    """What the goldens set of an adapter, all of their mappings among it."""
    found = [case.options for case in OWN if case.adapter == name]
    mappings = {key: value for options in found for key, value in options.get("mappings", {}).items()}
    whole = {key: value for options in found for key, value in options.items()}
    return {**whole, "mappings": mappings} if mappings else whole


def lines(canaries: Canaries) -> list[bytes]:
    """The agent's own form: every kind, sound and in every way unsound, with the canary where it hurts."""
    persons = canaries.persons
    email, number = persons["email"], persons["external id"]
    customer = {"email": email, "externalId": number}
    person = {**customer, "fullName": canaries.full_name, "phone": persons["phone"]}
    sale = {"externalOrderId": "C-1", "customer": customer, "totalAmount": 20}
    sound: list[tuple[str, dict[str, Any]]] = [
        ("sale", sale),
        ("refund", {"externalOrderId": "C-1", "refundId": "1", "amount": 5, "customer": customer}),
        ("enrollment", person),
        ("member", {**person, "externalId": f"{number}-2"}),
        ("catalog", {"source": "erp", "brands": [{"externalId": "1", "name": canaries.full_name}]}),
    ]
    unsound: list[tuple[Any, Any]] = [
        (kind, {**document, **broken})
        for kind, document in sound
        for broken in (
            {"totalAmount": email, "amount": email, "email": f"{email} {email}", "phone": [email], "brands": email},
            {"customer": {email: number}, "externalOrderId": f"{email}\n", "source": f"{email}\n", email: email},
            {"email": number, "totalAmount": number, "source": email * 20},
            {"externalId": email * 20, "currency": email, "marketingConsent": email, "metadata": {email: "x" * 5000}},
        )
    ]
    unsound += [(email, sale), (sale, email), (None, [sale]), ("sale", {"key": email})]
    whole = [json.dumps({"kind": kind, "place": "here", "document": found}) for kind, found in [*sound, *unsound]]
    whole += [json.dumps({"kind": "sale", "document": sale, "key": f"{email} {email}"}), f'{{"{email}": ', email]
    return [line.encode() for line in whole]


class Till:
    """Posts with the operator's token, and keeps every word of the answers' reasons and places."""

    def __init__(self, agent: AgentProcess) -> None:
        self._agent = agent
        self._token = (agent.data_dir / "operator.token").read_text()
        self.said = b""
        self.accepted: Counter[str] = Counter()  # by adapter

    def call(self, method: str, path: str, body: bytes | None = None, media: str = "application/json") -> Any:
        connection = HTTPConnection("127.0.0.1", self._agent.port, timeout=30)
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": media}
        connection.request(method, path, body, headers)
        answer = connection.getresponse().read()
        connection.close()
        return answer

    def posts(self, name: str, document: bytes) -> None:
        media = registry.adapter(name).media[0]
        for query in ("?dryRun=true", ""):
            answer = json.loads(self.call("POST", f"/v1/documents/{name}{query}", document, media))
            told = [(item["place"], item["reason"]) for item in answer.pop("items", ())]
            self.said += json.dumps([answer, told]).encode()
            self.accepted[name] += 0 if query else answer.get("totals", {}).get("accepted", 0)

    def shown(self) -> Iterator[tuple[str, bytes]]:
        """What is shown to support."""
        for path in ("/metrics", "/v1/status", "/v1/operations?limit=200", "/v1/adapters", "/healthz"):
            yield path, self.call("GET", path)
        for command in ("status", "operations list", "config check"):
            done = flash_agent(*command.split(), "--data-dir", self._agent.data_dir)
            yield command, (done.stdout + done.stderr).encode()


def test_no_customer_of_a_document_is_written_in_the_clear(tmp_path: Path, canaries: Canaries):
    folder, data, report = tmp_path / "spool", tmp_path / "data", tmp_path / "report.jsonl"
    folder.mkdir()
    environment = {
        "FLASH_AGENT_LOG__LEVEL": "debug",
        "FLASH_AGENT_DOCUMENTS__PUSH_MEMBERS": "true",
        "FLASH_AGENT_SPOOL__FOLDERS": json.dumps({"canonical": str(folder)}),
        "FLASH_AGENT_SPOOL__SETTLE_S": "0.05",
        "FLASH_AGENT_SPOOL__PATIENCE_S": "0",
    }
    for name in {case.adapter for case in OWN if case.options}:
        environment[f"FLASH_AGENT_ADAPTERS__{name.upper()}"] = json.dumps(options_of(name))
    found: list[str] = []

    def search(where: str, content: bytes) -> None:
        found.extend(f"{name} in {where}" for name, _ in canaries.found_in(content, canaries.persons))

    with strict_flash() as flash:
        agent = AgentProcess(data, flash.base_url, **environment)
        agent.start()
        try:
            till = Till(agent)
            for case in OWN:
                document = with_canaries(case, canaries)
                till.posts(case.adapter, document)
                till.posts(case.adapter, instead_of_amounts(document, canaries))
            for line in lines(canaries):
                till.posts("canonical", line)
            for name in registry.MODULES:
                till.posts(name, b"\n".join(lines(canaries)))
                till.posts(name, f"<a b='{canaries.persons['email']}'>{canaries.full_name}</c>".encode())
            given = tmp_path / "given.jsonl"
            given.write_bytes(b"\n".join(lines(canaries)))
            imported = flash_agent("import", given, "--adapter", "canonical", "--report", report, "--data-dir", data)
            assert imported.returncode == 1, imported.stderr
            search("the import's words", (imported.stdout + imported.stderr).encode())
            search("the import's report", report.read_bytes())
            (folder / "day.tmp").write_bytes(given.read_bytes())
            (folder / "day.tmp").rename(folder / "day.jsonl")
            why = folder / "failed" / "day.jsonl.why.json"
            until(why.exists)
            search("the spool's report", why.read_bytes())
            search("answers", till.said)
            for where, content in till.shown():
                search(where, content)
        finally:
            agent.kill()
    for path, content in files_below(data, agent.log):
        search(path.name, content)
    assert min(till.accepted[name] for name in registry.MODULES) > 0, till.accepted
    assert found == []
