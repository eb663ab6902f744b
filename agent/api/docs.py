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
    parts.append("<h1>Objects</h1><p>Fields marked * are always there; clients ignore fields that they do not know.")
    parts += [_object(name, schema) for name, schema in sorted(document["components"]["schemas"].items())]
    return "".join(parts)


def _section(path: str, method: str, operation: dict[str, Any]) -> str:
    token = next((name for scheme in operation["security"] for name in scheme), "none")
    rows = [("Token", escape(token))]
    rows += [(f"{item['in']} {item['name']}", escape(item["description"])) for item in operation["parameters"]]
    if body := operation.get("requestBody"):
        rows.append(("Body", _content(body["content"])))
    for status, response in operation["responses"].items():
        rows.append((status, f"{escape(response['description'])}: {_content(response['content'])}"))
    heading = f"<h2><code>{escape(method.upper())} {escape(path)}</code></h2><p>{escape(operation['summary'])}</p>"
    return f"{heading}<p>{escape(operation['description'])}</p>{_table(rows)}"


def _object(name: str, schema: dict[str, Any]) -> str:
    required = set(schema.get("required", ()))
    rows = [
        (f"{field} *" if field in required else field, f"{_type(value)} {escape(value.get('description', ''))}")
        for field, value in schema.get("properties", {}).items()
    ]
    return f"<h2 id={escape(name)}>{escape(name)}</h2><p>{escape(schema.get('description', ''))}</p>{_table(rows)}"


def _table(rows: list[tuple[str, str]]) -> str:
    """The first column is plain, the second HTML."""
    return f"<table>{''.join(f'<tr><td><code>{escape(name)}</code><td>{text}' for name, text in rows)}</table>"


def _content(content: dict[str, Any]) -> str:
    return ", ".join(_type(part["schema"]) if "json" in kind else "text" for kind, part in content.items())


def _type(schema: dict[str, Any]) -> str:
    """A schema in a few words, as HTML; what may be null says so."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f"<a href=#{name}>{name}</a>"
    if choices := schema.get("anyOf"):
        return " or ".join(dict.fromkeys(_type(choice) for choice in choices))
    if values := schema.get("enum"):
        return " | ".join(escape(str(value)) for value in values)
    if "const" in schema:
        return escape(str(schema["const"]))
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    limit = f", at most {schema['maxLength']} characters" if "maxLength" in schema else ""
    return escape(str(schema.get("format") or schema.get("type", "any")) + limit)
