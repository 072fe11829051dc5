"""``/docs``: the OpenAPI document as a page that needs neither JavaScript nor the internet.

Swagger UI as PyPI has it (swagger-ui-bundle 1.1.0 holds 4.15.5) does not read OpenAPI 3.1, which is what FastAPI writes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html import escape
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import HTMLResponse, Response

from budgetnet.serve.middleware import POLICY

STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 52rem; margin: 2rem auto; padding: 0 1rem; }
section { border-top: 1px solid color-mix(in srgb, currentColor 25%, transparent); margin-top: 2rem; }
code, pre { font-family: ui-monospace, monospace; font-size: 0.9em; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; }
pre { padding: 0.75rem; background: color-mix(in srgb, currentColor 8%, transparent); }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: 0.25rem 1rem 0.25rem 0; }
th { white-space: nowrap; }
"""
HOST = r"[\w.:\[\]-]{1,200}"  # of a request, to be shown in examples
CALLS = {
    "/v1/predict": """curl -F file=@digit.png {base}v1/predict
curl -H 'Content-Type: image/png' --data-binary @digit.png '{base}v1/predict?seen=true'
curl --json '{{"images": ["iVBORw0…"]}}' {base}v1/predict""",
}


def documentation(app: FastAPI, secured: bool) -> None:
    """Adds ``/docs``, and to the document what FastAPI does not know: the API key."""
    generate = app.openapi

    def document() -> dict[str, Any]:
        found = generate()
        if secured:
            schemes = {"bearer": {"type": "http", "scheme": "bearer"}, "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"}}
            found.setdefault("components", {})["securitySchemes"] = schemes
            for path, operations in found["paths"].items():
                for operation in operations.values():
                    operation["security"] = [{"bearer": []}, {"key": []}] if path.startswith("/v1/") else []
        return found

    app.openapi = document  # type: ignore[method-assign]
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = f"{POLICY}; style-src 'sha256-{digest}'"

    async def docs(request: Request) -> Response:
        host = request.headers.get("host", "")
        base = f"http://{host if re.fullmatch(HOST, host, re.ASCII) else 'SERVER'}/"
        return HTMLResponse(_page(app.openapi(), base), headers={"Content-Security-Policy": policy})

    app.add_route("/docs", docs, methods=["GET", "HEAD"], include_in_schema=False)


def _page(document: dict[str, Any], base: str) -> str:
    info = document["info"]
    sections = [
        _operation(path, method, operation, document, base)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    ]
    schemas = [
        f'<section id="{escape(name)}"><h3>{escape(name)}</h3>{_code(schema)}</section>'
        for name, schema in document["components"]["schemas"].items()
    ]
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(info['title'])}: interface</title><style>{STYLE}</style></head><body><main>"
        f"<h1>{escape(info['title'])}</h1><p>{escape(info.get('summary', ''))}</p>"
        '<p>The same for programs: <a href="openapi.json">openapi.json</a>. <a href="./">The page to draw on</a>.</p>'
        f"{''.join(sections)}<section><h2>Schemas</h2>{''.join(schemas)}</section></main></body></html>"
    )


def _operation(path: str, method: str, operation: dict[str, Any], document: dict[str, Any], base: str) -> str:
    parts = [f"<section><h2><code>{method.upper()} {escape(path)}</code></h2>", f"<p><strong>{_sentence(operation['summary'])}</strong> "]
    parts.append(f"{_text(operation.get('description', ''))}</p>")
    if path in CALLS:
        parts.append(f"<pre>{escape(CALLS[path].format(base=base))}</pre>")
    if parameters := operation.get("parameters"):
        parts.append(_table("Query", [(one["name"], escape(one.get("description", ""))) for one in parameters]))
    if body := operation.get("requestBody"):
        parts += ["<h3>Body</h3>"]
        for kind, content in body["content"].items():
            parts.append(f"<details><summary><code>{escape(kind)}</code></summary>{_code(content.get('schema', {}))}</details>")
    rows = [(status, _meaning(response)) for status, response in operation["responses"].items()]
    return "".join([*parts, _table("Answers", rows), "</section>"])


def _meaning(response: dict[str, Any]) -> str:
    reference = response.get("content", {}).get("application/json", {}).get("schema", {}).get("$ref", "")
    name = escape(reference.rpartition("/")[2])
    return _text(response["description"]) + (f' <a href="#{name}">{name}</a>' if name else "")


def _sentence(summary: str) -> str:
    return escape(summary) + ("" if summary.endswith("?") else ".")


def _text(markdown: str) -> str:
    """Convert the Markdown that the descriptions use to HTML."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(markdown))


def _table(title: str, rows: list[tuple[str, str]]) -> str:
    lines = "".join(f'<tr><th scope="row"><code>{escape(name)}</code></th><td>{text}</td></tr>' for name, text in rows)
    return f"<h3>{title}</h3><table>{lines}</table>"


def _code(value: Any) -> str:
    return f"<pre>{escape(json.dumps(value, indent=1, ensure_ascii=False))}</pre>"
