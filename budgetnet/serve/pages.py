"""The page and its files, read once at the start."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from fastapi import FastAPI, Request
from starlette.responses import Response

from budgetnet.serve.refusal import Refusal

FOLDER = Path(__file__).parent / "page"
KINDS = {
    ".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}  # fmt: skip
INDEX = "index.html"


@dataclass(frozen=True)
class File:
    """``tag`` lets a browser ask whether it has changed."""

    content: bytes
    kind: str
    tag: str

    def answer(self, known: str | None) -> Response:
        headers = {"ETag": self.tag, "Cache-Control": "no-cache"}
        if known is not None and self.tag in known:
            return Response(status_code=304, headers=headers)
        return Response(self.content, headers=headers, media_type=self.kind)


def read_pages(folder: Path = FOLDER) -> dict[str, File]:
    """The files by name."""
    found = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.suffix in KINDS:
            content = path.read_bytes()
            found[path.name] = File(content, KINDS[path.suffix], f'"{hashlib.sha256(content).hexdigest()[:16]}"')
    return found


def add_pages(app: FastAPI) -> None:
    """``/`` and ``/static/…``."""
    files = read_pages()

    async def page(request: Request) -> Response:
        name = request.path_params.get("name", INDEX)
        if name not in files:
            raise Refusal(404, "not_found", f"there is no page {name[:80]!r}")
        return files[name].answer(request.headers.get("if-none-match"))

    app.add_route("/", page, methods=["GET", "HEAD"], include_in_schema=False)
    app.add_route("/static/{name}", page, methods=["GET", "HEAD"], include_in_schema=False)
