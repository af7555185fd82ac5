"""The interface's description as a page: plain HTML out of the OpenAPI document.

Swagger UI comes from another company's servers, which a strict content policy and a machine without the internet
both rule out; and a page without scripts can't be made to run any.
"""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from fastapi import FastAPI
from starlette.responses import HTMLResponse

from service.headers import PAGE_POLICY

__all__ = ["install", "render"]

STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 0 auto; padding: 1rem 1rem 4rem; }
h2 { margin: 3rem 0 .25rem; font-size: 1.1rem; border-top: 1px solid #8886; padding-top: 1rem; }
h3 { margin: 1.25rem 0 .25rem; font-size: .9rem; }
code, pre { font: .85rem/1.45 ui-monospace, monospace; }
pre { overflow: auto; max-height: 22rem; padding: .75rem; border-radius: .4rem; background: #8882; }
table { border-collapse: collapse; font-size: .9rem; }
td, th { text-align: left; vertical-align: top; padding: .2rem 1rem .2rem 0; }
summary { cursor: pointer; }
.method { font-weight: 700; }
"""

DOCS_POLICY = PAGE_POLICY.replace(
    "style-src 'self'", f"style-src 'sha256-{base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}'"
)

Schema = Mapping[str, Any]


def install(app: FastAPI) -> None:
    """Serve the page at /docs."""

    async def get_docs() -> HTMLResponse:
        return HTMLResponse(render(app.openapi()), headers={"content-security-policy": DOCS_POLICY})

    app.add_api_route("/docs", get_docs, include_in_schema=False)


def render(document: Schema) -> str:
    """The page of an OpenAPI document."""
    info = document["info"]
    title = f"{escape(info['title'])} {escape(info['version'])}"
    operations = [
        (method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    listing = "".join(
        f'<li><a href="#{escape(operation["operationId"])}"><code>{method.upper()} {escape(path)}</code></a></li>'
        for method, path, operation in operations
    )
    body = "".join(_render_operation(document, *operation) for operation in operations)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}: the HTTP interface</title><style>{STYLE}</style></head><body>"
        f"<h1>{title}</h1><p>{_text(info['description'])}</p>"
        '<p>The same for programs: <a href="openapi.json">openapi.json</a>. <a href="./">The page</a>.</p>'
        f"<ul>{listing}</ul>{body}</body></html>"
    )


def _render_operation(document: Schema, method: str, path: str, operation: Schema) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{escape(place)}</td><td>{escape(kind)}</td><td>{_text(text)}</td></tr>"
        for name, place, kind, text in _inputs(document, operation)
    )
    head = "<tr><th>name</th><th>in</th><th>type</th><th></th></tr>"
    table = f"<h3>Parameters</h3><table>{head}{rows}</table>" if rows else ""
    table += "".join(_render_request(body) for body in operation.get("requestBody", {}).get("content", {}).values())
    replies = "".join(_render_reply(status, reply) for status, reply in operation["responses"].items())
    return (
        f'<h2 id="{escape(operation["operationId"])}"><code><span class="method">{method.upper()}</span> '
        f"{escape(path)}</code></h2><p>{_text(operation.get('description', ''))}</p>{table}<h3>Answers</h3>{replies}"
    )


def _render_request(body: Schema) -> str:
    examples = body["schema"].get("examples") or body.get("examples") or ()
    return "".join(f"<details><summary>A body</summary><pre>{_json(example)}</pre></details>" for example in examples)


def _inputs(document: Schema, operation: Schema) -> Iterator[tuple[str, str, str, str]]:
    """Name, place, type and description of everything that a request may hold."""
    for parameter in operation.get("parameters", ()):
        yield parameter["name"], parameter["in"], _kind(parameter["schema"]), parameter.get("description", "")
    for media_type, body in operation.get("requestBody", {}).get("content", {}).items():
        schema = body["schema"]
        if "$ref" in schema:
            schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        if "properties" not in schema:
            yield "(the whole body)", media_type, _kind(schema), schema.get("description", "")
            continue
        for name, part in schema["properties"].items():
            yield name, media_type, _kind(part), part.get("description", "")


def _kind(schema: Schema) -> str:
    if "anyOf" in schema:
        return " or ".join(_kind(choice) for choice in schema["anyOf"] if choice.get("type") != "null")
    if schema.get("type") == "array":
        return f"list of {_kind(schema['items'])}"
    if "contentMediaType" in schema or schema.get("format") == "binary":
        return "file"
    return str(schema.get("type", "object"))


def _render_reply(status: str, reply: Schema) -> str:
    parts = []
    for media_type, content in reply.get("content", {}).items():
        summary = f"<code>{escape(status)}</code> {escape(reply['description'])}, {escape(media_type)}"
        if "example" in content:
            parts.append(f"<details><summary>{summary}</summary><pre>{_json(content['example'])}</pre></details>")
        else:
            parts.append(f"<p>{summary}</p>")
    return "".join(parts)


def _json(value: Any) -> str:  # noqa: ANN401 - JSON
    """As it is where it is text already, such as lines of JSON."""
    return escape(value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False))


def _text(text: str) -> str:
    """Escaped, with `code` in backquotes and empty lines between paragraphs."""
    pieces = escape(text.strip()).split("`")
    marked = "".join(f"<code>{piece}</code>" if index % 2 else piece for index, piece in enumerate(pieces))
    return marked.replace("\n\n", "</p><p>")
