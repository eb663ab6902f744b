"""A real browser: a foreign page tries everything and stores nothing, an allowed page works.

The pages are served by this machine, and the browser is told that they are the internet's, so that its own rules for
pages that call the machine they are shown on (Local Network Access) apply.
"""

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.agents import AgentProcess, agent_process
from tests.support.browser import Browser, browsing, missing, pages
from tests.support.commands import NOWHERE

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(missing() is not None, reason=missing() or "")]

SALE = {"externalOrderId": "90871", "customer": {"externalId": "C1"}, "totalAmount": 120}

# Every way in which a page can send something somewhere; each says what the page learned of it.
ATTACKS = """
async (base, token, sale) => {
  const body = JSON.stringify(sale), url = base + '/v1/sales', learned = {};
  const wait = (ms) => new Promise((done) => setTimeout(done, ms));
  const limited = (promise, ms = 3000) => Promise.race([promise, wait(ms).then(() => 'no answer')]);
  const attempt = async (name, action) => {
    try { learned[name] = await limited(action()); } catch (error) { learned[name] = 'refused'; }
  };
  const answered = async (response) => `${response.type} ${response.status} ${await response.text()}`;
  const auth = {Authorization: `Bearer ${token}`};
  const json = {'Content-Type': 'application/json'};
  const send = (options) => fetch(url, {method: 'POST', body, ...options}).then(answered);
  await attempt('fetch with the token', () => send({headers: {...auth, ...json}}));
  await attempt('fetch of JSON', () => send({headers: json}));
  await attempt('fetch of plain text', () => send({}));
  await attempt('fetch with credentials', () => send({credentials: 'include'}));
  await attempt('fetch without cors', () => send({mode: 'no-cors'}));
  await attempt('fetch without cors, as a form', () =>
    send({mode: 'no-cors', headers: {'Content-Type': 'application/x-www-form-urlencoded'}}));
  await attempt('fetch that outlives the page', () => send({mode: 'no-cors', keepalive: true}));
  await attempt('fetch without a referrer', () => send({mode: 'no-cors', referrerPolicy: 'no-referrer'}));
  await attempt('read the operations', () => fetch(base + '/v1/operations', {headers: auth}).then(answered));
  await attempt('read the status', () => fetch(base + '/v1/status', {headers: auth}).then(answered));
  await attempt('read the open page', () => fetch(base + '/healthz').then(answered));
  await attempt('read the document', () => fetch(base + '/openapi.json').then(answered));
  await attempt('XMLHttpRequest', () => new Promise((done, fail) => {
    const asked = new XMLHttpRequest();
    asked.open('POST', url);
    asked.onload = () => done(asked.responseText);
    asked.onerror = fail;
    asked.send(body);
  }));
  for (const type of ['text/plain', 'application/json', 'application/x-www-form-urlencoded']) {
    await attempt(`sendBeacon ${type}`, async () => {
      navigator.sendBeacon(url, new Blob([body], {type}));
      await wait(200);
    });
  }
  for (const enctype of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data']) {
    await attempt(`form ${enctype}`, () => new Promise((done) => {
      const frame = document.createElement('iframe');
      frame.name = 'target-' + enctype;
      document.body.append(frame);
      const form = document.createElement('form');
      Object.assign(form, {action: url, method: 'POST', target: frame.name, enctype});
      const field = document.createElement('input');
      field.name = body.slice(0, -1) + ',"x":"';  // with text/plain the body becomes {...,"x":"=..."}
      field.value = '"}';
      form.append(field);
      document.body.append(form);
      frame.onload = () => {
        let seen = 'nothing';
        try { seen = frame.contentDocument ? frame.contentDocument.body.innerText : seen; } catch (error) { }
        done(seen);
      };
      form.submit();
      setTimeout(() => done('nothing'), 1000);
    }));
  }
  const element = (tag, attribute, path) => new Promise((done) => {
    const made = document.createElement(tag);
    const inside = () => {
      try { return made.contentDocument || made.getSVGDocument(); } catch (error) { return null; }
    };
    const framed = tag === 'embed' || tag === 'object';
    made.onload = () => done(framed ? (inside() ? 'read' : 'nothing') : 'loaded');
    made.onerror = () => done('refused');
    made.setAttribute(attribute, base + path);
    if (tag === 'link') made.rel = 'stylesheet';
    if (tag === 'object') made.type = 'text/html';
    document.body.append(made);
    setTimeout(() => done('no answer'), 1000);
  });
  await attempt('img', () => element('img', 'src', '/v1/sales?body=' + encodeURIComponent(body)));
  await attempt('script', () => element('script', 'src', '/v1/status'));
  await attempt('script of the document', () => element('script', 'src', '/openapi.json'));
  await attempt('link', () => element('link', 'href', '/docs'));
  await attempt('embed', () => element('embed', 'src', '/v1/operations'));
  await attempt('object', () => element('object', 'data', '/openapi.json'));
  await attempt('image of the document', () => element('img', 'src', '/openapi.json'));
  await attempt('EventSource', () => new Promise((done) => {
    const source = new EventSource(base + '/v1/events?token=' + token);
    source.onmessage = () => done('heard');
    source.onopen = () => done('open');
    source.onerror = () => { source.close(); done('refused'); };
  }));
  await attempt('WebSocket', () => new Promise((done) => {
    const socket = new WebSocket(base.replace('http', 'ws') + '/v1/events');
    socket.onopen = () => done('open');
    socket.onerror = () => done('refused');
  }));
  await attempt('worker', () => new Promise((done, fail) => {
    const code = `fetch('${url}', {method: 'POST', mode: 'no-cors', body: '${body}'})
      .then((answer) => postMessage(answer.type), () => postMessage('refused'))`;
    const worker = new Worker(URL.createObjectURL(new Blob([code])));
    worker.onmessage = (event) => done(event.data);
    worker.onerror = fail;
  }));
  return learned;
}
"""

HARMLESS = {"refused", "no answer", "nothing", "", None}

SELL = """
async (base, token, sale) => {
  const headers = {Authorization: `Bearer ${token}`, 'Content-Type': 'application/json', Prefer: 'wait=0',
                   'Idempotency-Key': 'k-1'};
  const answers = [];
  for (let number = 0; number < 2; number++) {
    const response = await fetch(base + '/v1/sales', {method: 'POST', headers, body: JSON.stringify(sale)});
    answers.push({status: response.status, replayed: response.headers.get('Idempotency-Replayed'),
                  operation: await response.json()});
  }
  return answers;
}
"""

LISTEN = """
async (base, token) => {
  const auth = {Authorization: `Bearer ${token}`};
  const response = await fetch(base + '/v1/events', {headers: {...auth, 'Last-Event-ID': '0-0-0'}});
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  const first = await reader.read();
  await reader.cancel();
  return first.value;
}
"""

REACH = """
async (base) => {
  const late = new Promise((done) => setTimeout(() => done('waits for a person'), 1500));
  return Promise.race([late, fetch(base + '/healthz').then((answer) => answer.status, () => 'blocked')]);
}
"""


@dataclass(frozen=True)
class Stage:
    """A till with an agent, a browser, and two web sites of which one is the register's."""

    agent: AgentProcess
    browser: Browser
    pos: str
    evil: str
    other_port: str

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.agent.port}"

    async def call(self, method: str, path: str, body: Any = None, scope: str = "operator") -> Any:
        token = (self.agent.data_dir / f"{scope}.token").read_text()
        headers = {"Authorization": f"Bearer {token}"}
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, self.base + path, json=body, headers=headers) as answer,
        ):
            return await answer.json()

    async def stored(self) -> list[Any]:
        return (await self.call("GET", "/v1/operations"))["operations"]


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with pages(tmp_path, tls=True) as port, pages(tmp_path, tls=False) as other:
        pos, evil = f"https://pos.test:{port}", f"https://evil.test:{port}"
        origins = {"FLASH_AGENT_API__ALLOWED_ORIGINS": f'["{pos}"]'}
        with agent_process(tmp_path / "data", NOWHERE, **origins) as agent:
            async with browsing(f"--ip-address-space-overrides=127.0.0.1:{port}=public") as browser:
                if await browser.version() < 145:
                    pytest.skip("this Chromium does not know the permission that the tests are about")
                yield Stage(agent, browser, pos, evil, f"http://127.0.0.1:{other}")


async def attack(stage: Stage, page_url: str, base: str) -> None:
    """The page learns nothing and stores nothing, although what it sent came to the agent."""
    page = await stage.browser.page(page_url)
    already = len(page.heard)
    learned = await page.run(ATTACKS, base, stage.agent.token, SALE)
    assert len(learned) > 20
    assert {attack: what for attack, what in learned.items() if what not in HARMLESS} == {}
    assert await stage.stored() == []
    heard = Counter(page.heard[already:])
    assert heard[403] >= 15, heard
    assert heard.keys() <= {200, 401, 403, 405}, heard  # 200: the open pages, of which it was shown nothing


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "[::1]"])
async def test_a_foreign_page_that_even_has_the_token_stores_nothing_and_reads_nothing(stage, name):
    await stage.browser.allow_loopback(stage.evil)  # the worst case: a person has said yes to the browser's question
    await attack(stage, stage.evil, f"http://{name}:{stage.agent.port}")


async def test_a_page_of_another_port_of_this_machine_is_foreign_too(stage):
    await attack(stage, stage.other_port, stage.base)


async def test_a_name_that_is_rebound_to_this_machine_gets_nothing(stage):
    """To the browser page and agent are one origin then; only the Host tells."""
    page = await stage.browser.page(f"http://rebound.test:{stage.agent.port}/docs")
    assert await page.run("() => document.body.innerText.includes('wrong-host')")
    learned = await page.run(ATTACKS, f"http://rebound.test:{stage.agent.port}", stage.agent.token, SALE)
    assert await stage.stored() == []
    for attack in ("fetch with the token", "read the operations", "read the open page"):
        assert "421" in learned[attack], learned
        assert "wrong-host" in learned[attack]


async def test_a_page_in_a_sandboxed_frame_has_no_origin_and_gets_nothing(stage):
    await stage.browser.allow_loopback(stage.evil)
    page = await stage.browser.page(stage.evil)
    script = """
    async (base, token, body) => new Promise((done) => {
      addEventListener('message', (event) => done(event.data));
      const frame = document.createElement('iframe');
      frame.sandbox = 'allow-scripts';
      frame.allow = 'loopback-network; local-network-access';
      frame.srcdoc = `<script>
        fetch('${base}/v1/sales', {method: 'POST', mode: 'no-cors', body: '${body}'})
          .then((answer) => parent.postMessage(answer.type, '*'), () => parent.postMessage('refused', '*'))
      </script>`;
      document.body.append(frame);
      setTimeout(() => done('no answer'), 3000);
    })
    """
    assert await page.run(script, stage.base, stage.agent.token, "{}") in HARMLESS
    assert await stage.stored() == []


async def test_an_allowed_page_sells_replays_and_listens(stage):
    await stage.browser.allow_loopback(stage.pos)
    page = await stage.browser.page(stage.pos)
    first, again = await page.run(SELL, stage.base, stage.agent.token, SALE)
    assert (first["status"], again["status"], again["replayed"]) == (202, 202, "true")
    assert first["operation"]["id"] == again["operation"]["id"]
    assert [operation["id"] for operation in await stage.stored()] == [first["operation"]["id"]]
    assert "event: connectivity" in await page.run(LISTEN, stage.base, stage.agent.token)


async def test_a_page_with_a_token_of_its_own_sells_until_it_is_revoked(stage):
    """Its origin stands in no configuration: the token alone makes it known."""
    origin = stage.evil.replace("evil.test", "lane.test")
    made = await stage.call("POST", "/v1/tokens", {"name": "web", "origin": origin})
    await stage.browser.allow_loopback(origin)
    page = await stage.browser.page(origin)
    first, _ = await page.run(SELL, stage.base, made["token"], SALE)
    assert first["status"] == 202
    refused = "async (...it) => { try { return await (SELL)(...it) } catch { return 'refused' } }".replace("SELL", SELL)
    await stage.call("DELETE", "/v1/tokens/web")
    assert await page.run(refused, stage.base, made["token"], {**SALE, "externalOrderId": "2"}) == "refused"
    assert len(await stage.stored()) == 1


async def test_the_browser_asks_before_a_page_of_the_internet_may_call_the_till(stage):
    """What a fleet must set beforehand (docs/integrating.md): without a yes even the allowed page is blocked."""
    page = await stage.browser.page(stage.pos)
    state = await page.run("async () => (await navigator.permissions.query({name: 'loopback-network'})).state")
    assert state == "prompt"
    await stage.browser.allow_loopback(stage.pos, "denied")
    assert await page.run(REACH, stage.base) == "blocked"
    await stage.browser.allow_loopback(stage.pos)
    assert await page.run(REACH, stage.base) == 200
