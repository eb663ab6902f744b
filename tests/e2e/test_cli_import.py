"""`flash-agent import` as an operator meets it: real processes, an agent and a Flash beside it."""

import contextlib
import http.client
import http.server
import json
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.agents import AgentProcess, agent_process, strict_flash
from tests.support.commands import LIMIT_S, NOWHERE, PYTHON, call, environment, flash_agent

pytestmark = pytest.mark.e2e

RECEIPTS = {
    "receipts": {
        "delimiter": ";",
        "decimal": ",",
        "sale": {
            "externalOrderId": "erp-{Store}-{No}",
            "totalAmount": "Total",
            "customer.externalId": "Card",
            "businessDate": "Day",
            "storeId": "Store",
        },
    }
}
STORES = {"S18": "st_1"}
MAPPED = {
    "FLASH_AGENT_ADAPTERS__CSV": json.dumps({"mappings": RECEIPTS}),
    "FLASH_AGENT_DOCUMENTS__STORES": json.dumps(STORES),
}
HEAD = "Store;No;Total;Card;Day\n"
ROWS = [
    "S18;1;12,50;POS-CUST-5512;2026-03-14",
    "S18;2;9,00;;2026-03-14",
    "S18;3;some;POS-CUST-5512;2026-03-14",
    "S18;1;99,00;POS-CUST-5512;2026-03-14",
    "S18;4;7,00;POS-CUST-5512;2026-03-14",
]


@pytest.fixture
def offline(tmp_path: Path) -> Iterator[AgentProcess]:
    with agent_process(tmp_path / "data", NOWHERE, **MAPPED) as started:
        yield started


def written(tmp_path: Path, rows: list[str], name: str = "receipts.csv") -> Path:
    file = tmp_path / name
    file.write_text(HEAD + "\n".join(rows) + "\n", "utf-8")
    return file


def imported(agent: AgentProcess, *arguments: object) -> subprocess.CompletedProcess[str]:
    return flash_agent("import", *arguments, "--adapter", "csv", "--data-dir", agent.data_dir)


def operations(agent: AgentProcess) -> list[dict[str, Any]]:
    _, answer = call("GET", f"http://127.0.0.1:{agent.port}/v1/operations?limit=200", agent.token)
    return answer["operations"]


def test_what_is_in_a_file_is_taken_once_and_the_rest_is_told(offline: AgentProcess, tmp_path: Path) -> None:
    rows = [*ROWS, "S19;5;3,00;POS-CUST-5512;2026-03-14"]
    file, report = written(tmp_path, rows), tmp_path / "report.jsonl"
    first = imported(offline, file, "--report", report)
    assert (first.returncode, first.stderr) == (1, "")
    assert [line.split() for line in first.stdout.splitlines()[1:6]] == [
        ["accepted", "2"],
        ["skipped", "1", "no-customer", "1"],
        ["faulty", "2", "unsound", "1,", "unknown-store", "1"],
        ["refused", "1", "order-conflict", "1"],
        ["unknown", "stores", "1", "sales", "left", "out:", "S19", "1"],
    ]
    assert "line 4: faulty, unsound: It could not be sent: totalAmount (Total) must be a number" in first.stdout
    assert "line 5: refused, order-conflict: " in first.stdout
    told = [json.loads(line) for line in report.read_text().splitlines()]
    assert [(each["place"], each["outcome"]) for each in told] == [
        ("line 3", "skipped"),
        ("line 4", "faulty"),
        ("line 7", "faulty"),
        ("line 5", "refused"),
    ]
    kept = {operation["upstreamOrderId"]: operation["metadata"] for operation in operations(offline)}
    assert kept["erp-S18-4"] == {"adapter": "csv", "file": "receipts.csv", "place": "line 6"}
    again = imported(offline, file, "--json")
    assert json.loads(again.stdout)["files"][0]["totals"] == {
        "accepted": 0,
        "replayed": 2,
        "skipped": 1,
        "faulty": 2,
        "refused": 1,
    }
    assert json.loads(again.stdout)["files"][0]["unknownStores"] == {"S19": 1}
    assert list((offline.data_dir / "imports").iterdir()) == []


def test_a_dry_run_stores_nothing_and_a_sound_file_ends_well(offline: AgentProcess, tmp_path: Path) -> None:
    file = written(tmp_path, [ROWS[0], ROWS[1], ROWS[4]])
    dry = imported(offline, file, "--dry-run")
    assert (dry.returncode, operations(offline)) == (0, [])
    assert "nothing was stored" in dry.stdout
    real = imported(offline, file)
    assert real.returncode == 0
    assert dry.stdout.splitlines()[1:] == real.stdout.splitlines()
    assert len(operations(offline)) == 2


def test_standard_input_and_several_files(offline: AgentProcess, tmp_path: Path) -> None:
    files = [written(tmp_path, [row], f"{number}.csv") for number, row in enumerate((ROWS[0], ROWS[4]))]
    done = imported(offline, *files, "--json")
    assert [each["totals"]["accepted"] for each in json.loads(done.stdout)["files"]] == [1, 1]
    command = [*PYTHON, "-m", "agent", "import", "-", "--adapter", "csv", "--data-dir", str(offline.data_dir), "--json"]
    piped = subprocess.run(
        command, input=(HEAD + ROWS[0]).encode(), env=environment(), capture_output=True, timeout=LIMIT_S, check=True
    )
    assert json.loads(piped.stdout)["files"][0]["totals"]["replayed"] == 1


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
def test_a_terminal_shows_how_far_it_is(offline: AgentProcess, tmp_path: Path) -> None:
    import fcntl
    import struct
    import termios

    file = written(tmp_path, ROWS[:2])
    command = [*PYTHON, "-m", "agent", "import", file, "--adapter", "csv", "--data-dir", offline.data_dir]
    for more, shown in ([], True), (["--quiet"], False):
        ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
        subprocess.run(
            [*map(str, command), *more], stdout=subprocess.DEVNULL, stderr=theirs, env=environment(), check=True
        )
        os.write(theirs, b"the end")
        os.close(theirs)
        said = b""
        while not said.endswith(b"the end"):
            said += os.read(ours, 65536)
        os.close(ours)
        assert (b"receipts.csv:   0%" in said, said == b"the end") == (shown, not shown)


def test_what_is_wrong_is_said_before_anything_is_sent(offline: AgentProcess, tmp_path: Path) -> None:
    file = written(tmp_path, ROWS)
    unknown = flash_agent("import", file, "--adapter", "poslogs", "--data-dir", offline.data_dir)
    assert (unknown.returncode, unknown.stdout) == (2, "")
    named = re.search("There is no adapter poslogs; there are: (.*)\\.", unknown.stderr)[1].split(", ")
    assert {"canonical", "csv", "jsonl"} <= set(named)
    lacking = flash_agent("import", file, "--adapter", "shopify", "--data-dir", offline.data_dir)
    assert (lacking.returncode, "start the agent anew" in lacking.stderr) == (2, True)
    absent = imported(offline, file, tmp_path / "absent.csv")
    assert (absent.returncode, operations(offline)) == (2, [])
    assert "absent.csv cannot be read: No such file" in absent.stderr
    folder = imported(offline, tmp_path)
    assert (folder.returncode, "cannot be read" in folder.stderr) == (2, True)
    report = imported(offline, file, "--report", tmp_path / "nowhere" / "report.jsonl")
    assert (report.returncode, operations(offline)) == (2, [])
    itself = imported(offline, file, "--report", tmp_path / "." / "receipts.csv")
    assert (itself.returncode, "Choose another file" in itself.stderr) == (2, True)
    assert file.read_text().startswith(HEAD)
    nobody = flash_agent("import", file, "--adapter", "csv", "--data-dir", tmp_path / "empty")
    assert nobody.returncode == 1
    assert "No agent runs" in nobody.stderr


def test_a_catalog_that_flash_has_is_not_sent_again(tmp_path: Path) -> None:
    goods = {"goods": {"source": "erp", "product": {"externalId": "Id", "title": "Name"}}}
    mapped = {"FLASH_AGENT_ADAPTERS__CSV": json.dumps({"mappings": goods})}
    file = tmp_path / "goods.csv"
    file.write_text("Id,Name\n" + "".join(f"P{number},Tea\n" for number in range(500)))
    with agent_process(tmp_path / "data", NOWHERE, **mapped) as agent:
        first = imported(agent, file)
        assert (first.returncode, first.stdout.splitlines()[-1].split()) == (
            0,
            ["catalog", "rows", "500", "0", "of", "them", "unchanged,", "and", "not", "sent"],
        )
        sent = len(operations(agent))
        file.write_text(file.read_text().replace("P7,Tea", "P7,Coffee"))
        again = json.loads(imported(agent, file, "--json").stdout)["files"][0]
        assert again["catalog"] == {"rows": 500, "unchanged": 499}
        assert len(operations(agent)) == sent + 1


def test_an_agent_that_is_gone_is_waited_for_and_then_it_is_said_how_to_go_on(tmp_path: Path) -> None:
    """The stand-in answers the first batch as the agent would, and then as a full disk, and then is gone."""
    data_dir, rows = tmp_path / "data", [f"S18;{number};1,00;POS-CUST-5512;2026-03-14" for number in range(500)]
    file = written(tmp_path, rows)
    with strict_flash() as flash, agent_process(data_dir, flash.base_url, **MAPPED) as agent:
        with between(agent, answered=1) as port:
            stopped = imported_through(port, agent, file, "--patience", "1", "--report", tmp_path / "report.jsonl")
        assert stopped.returncode == 1
        assert "The disk is full. Waiting up to 1 s for it." in stopped.stderr
        assert "200 items of receipts.csv are taken care of. Run the same command again" in stopped.stderr
        assert len(operations(agent)) == 200
        went_on = imported(agent, file, "--json", "--report", tmp_path / "report.jsonl")
        assert "goes on behind item 200" in went_on.stderr
        assert json.loads(went_on.stdout)["files"][0]["totals"]["accepted"] == 500
        assert flash.wait_for(lambda seen: len(seen.awards) == 500, seconds=30)
        assert (flash.doubles(), flash.violations) == ({}, [])


def test_an_agent_that_takes_small_documents_alone_gets_small_ones(tmp_path: Path) -> None:
    document = {"externalOrderId": "1", "customer": {"externalId": "C"}, "totalAmount": 5}
    sales = [{"kind": "sale", "document": {**document, "externalOrderId": str(number)}} for number in range(100)]
    sales[40]["document"]["lines"] = [{"note": "x" * 5000}]
    sales[7] |= {"key": "agreed-key-7", "place": "receipt 7 of the day"}
    file = tmp_path / "sales.jsonl"
    file.write_text("".join(json.dumps(each) + "\n" for each in sales))
    with agent_process(tmp_path / "data", NOWHERE, FLASH_AGENT_DOCUMENTS__MAX_BYTES="4096") as agent:
        done = flash_agent("import", file, "--adapter", "canonical", "--data-dir", agent.data_dir, "--json")
        (told,) = json.loads(done.stdout)["files"]
        assert (told["totals"]["accepted"], told["totals"]["refused"]) == (99, 1)
        assert (told["first"][0]["place"], told["first"][0]["code"]) == ("line 41", "body-too-large")
        (seventh,) = (operation for operation in operations(agent) if operation["upstreamOrderId"] == "7")
        assert (seventh["idempotencyKey"], seventh["metadata"]["place"]) == ("agreed-key-7", "receipt 7 of the day")


def imported_through(port: int, agent: AgentProcess, *arguments: object) -> subprocess.CompletedProcess[str]:
    """As `imported`, with the agent thought to be at this port."""
    about = agent.data_dir / "agent.json"
    before = about.read_text()
    about.write_text(json.dumps({"pid": 1, "port": port}))
    try:
        return imported(agent, *arguments)
    finally:
        about.write_text(before)


@contextlib.contextmanager
def between(agent: AgentProcess, answered: int) -> Iterator[int]:
    """Passes calls on to the agent; of documents so many, and then it says that the disk is full."""
    left = iter(range(answered))

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._pass_on("GET", None)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if next(left, None) is None:
                problem = {"code": "storage-full", "detail": "The disk is full.", "retryable": True, "stored": False}
                self._answer(507, json.dumps(problem).encode())
            else:
                self._pass_on("POST", body)

        def _pass_on(self, method: str, body: bytes | None) -> None:
            connection = http.client.HTTPConnection("127.0.0.1", agent.port, timeout=LIMIT_S)
            names = ("Authorization", "Content-Type")
            sent = {name: self.headers[name] for name in names if name in self.headers}
            with contextlib.closing(connection):
                connection.request(method, self.path, body, {**sent, "Host": f"127.0.0.1:{agent.port}"})
                response = connection.getresponse()
                self._answer(response.status, response.read())

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
