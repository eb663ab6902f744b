"""`/docs`: the OpenAPI document as a page a person can read, without scripts and without the network."""

from html import escape
from typing import Any

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1b1b}"
    "code{background:#f2f2f2;padding:.1em .3em}h2{border-top:1px solid #ddd;padding-top:1rem}"
    "table{border-collapse:collapse}td{padding:.2rem .8rem .2rem 0;vertical-align:top}"
)


def page(document: dict[str, Any]) -> str:
    """The page for an OpenAPI document."""
    info = document["info"]
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><style>{_STYLE}</style>",
        f"<title>{escape(info['title'])}</title>",
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1><p>{escape(info['description'])} ",
        'The whole of it, for machines: <a href="/openapi.json">/openapi.json</a>.</p>',
    ]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            parts.append(_section(path, method, operation))
    return "".join(parts)


def _section(path: str, method: str, operation: dict[str, Any]) -> str:
    token = next((name for scheme in operation["security"] for name in scheme), "none")
    rows = [("Token", token)]
    rows += [(f"{item['in']} {item['name']}", item["description"]) for item in operation["parameters"]]
    if body := operation.get("requestBody"):
        rows.append(("Body", _schema_name(body["content"]["application/json"]["schema"])))
    for status, response in operation["responses"].items():
        rows.append((status, response["description"]))
    table = "".join(f"<tr><td><code>{escape(name)}</code><td>{escape(text)}" for name, text in rows)
    heading = f"<h2><code>{escape(method.upper())} {escape(path)}</code></h2><p>{escape(operation['summary'])}</p>"
    return f"{heading}<table>{table}</table>"


def _schema_name(schema: dict[str, Any]) -> str:
    return str(schema.get("$ref", "object")).rpartition("/")[2]
