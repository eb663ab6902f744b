"""What is said at the end: how the agent is, and what the register's vendor needs."""

import sys
from typing import Any

from agent import config
from agent.errors import AgentError
from agent.fields import check_token_name
from agent.setup.agents import Client
from agent.setup.place import Place
from agent.setup.terminal import Terminal

_NOBODY = "none"


def tell(terminal: Terminal, place: Place, client: Client | None, *, asked: bool) -> None:
    """All of it; `client` is None where no agent runs. Where a person was asked, a token is offered."""
    terminal.say("")
    if client is None:
        terminal.say(f"Start it:      flash-agent run{place.config_option}{place.options}")
    else:
        for line in _how_it_is(place, client.call("GET", "/v1/status")):
            terminal.say(line)
        if asked:
            _offer_token(terminal, client)
    for line in _for_the_register(place, client):
        terminal.say(line)


def _how_it_is(place: Place, status: dict[str, Any]) -> list[str]:
    sources = ", ".join(f"{which}: {source or 'none'}" for which, source in status["flashKeys"].items())
    lines = [f"The agent runs. Flash: {status['connectivity']}; keys: {sources}; waiting: {status['pending']}."]
    lines += [f"note: {each['code']}: {each['text']} {each['mend']}" for each in status["conditions"]]
    if not place.service:
        lines.append("It reads its settings at the start: stop it and start it anew, where they changed.")
    return lines


def _offer_token(terminal: Terminal, client: Client) -> None:
    """The register's own, so that it can be revoked alone; shown once, here."""
    name = terminal.ask("A token of the register's own: its name, such as lane-3", _NOBODY, _token_fault)
    if name == _NOBODY:
        return
    try:
        made = client.call("POST", "/v1/tokens", {"name": name})
    except AgentError as error:
        terminal.say(f"  {error}")
    else:
        terminal.say(f"  Give it to the register now; it is not shown again:\n  {made['token']}")


def _token_fault(name: str) -> str | None:
    try:
        check_token_name(name)
    except ValueError as fault:
        return str(fault)
    return None


def _for_the_register(place: Place, client: Client | None) -> list[str]:
    settings = config.load(str(place.config))
    port = client.port if client else settings.api.port
    token = place.data_dir / "register.token"
    shown = "<the token>" if sys.platform == "win32" else f"$({'sudo ' if place.service else ''}cat {token})"
    return [
        "",
        "For the register's vendor:",
        f"  address      http://127.0.0.1:{port}   (documented at /docs)",
        f"  token        {token}{'' if client else '   (made at the first start)'}",
        f"  or its own   flash-agent token create --name lane-3{place.options}",
        f'  try it       curl -s -H "Authorization: Bearer {shown}" http://127.0.0.1:{port}/v1/status',
        *_each_sale(settings),
        "",
        f"Next: flash-agent doctor{place.config_option}{place.options}",
    ]


def _each_sale(settings: config.Settings) -> list[str]:
    """What the template of order numbers asks of the register, beyond the least."""
    if "{business_date}" not in settings.orders.id_template:
        return []
    return ['  each sale    says its "businessDate" ("2026-11-22"), or is refused: order numbers repeat by day']
