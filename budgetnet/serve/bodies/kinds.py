"""Which kind of body a request has, by its content type, and the wish in it, made off the event loop where that takes time."""

from __future__ import annotations

from functools import lru_cache

from budgetnet.serve.bodies import form, json_body, pictures, raw
from budgetnet.serve.bodies.wish import Wish
from budgetnet.serve.decoding import Decoders
from budgetnet.serve.refusal import Refusal

JSON, FORM, OCTETS = "application/json", "multipart/form-data", "application/octet-stream"
QUICK = 2**16  # bytes of JSON that the event loop parses itself
TAKEN = "application/json, multipart/form-data, image/png, image/jpeg or another image, or application/octet-stream"


@lru_cache(64)
def kind_of(content_type: bytes, encoding: bytes) -> str:
    """The content type without its parameters. Raises Refusal for one that is not taken, before the body is read."""
    given = content_type.decode("latin-1")
    kind, _, parameters = given.lower().partition(";")
    kind = kind.strip()
    if encoding.strip().lower() not in (b"", b"identity"):
        told = f"the content encoding is {encoding.decode('latin-1')[:40]!r}; expected none: send it uncompressed"
        raise Refusal(415, "unsupported_type", told, "Content-Encoding")
    if kind in (JSON, FORM, OCTETS) or kind.startswith("image/"):
        if kind == JSON and "charset" in parameters and "utf-8" not in parameters:
            raise Refusal(415, "unsupported_type", f"the charset is {parameters.strip()[:40]!r}; expected UTF-8", "Content-Type")
        return kind
    told = f"the content type is {repr(given[:60]) if given else 'missing'}; expected {TAKEN}"
    raise Refusal(415, "unsupported_type", told, "Content-Type")


async def understood(kind: str, content_type: str, body: bytes, decoders: Decoders) -> Wish:
    """What the body asks for. Raises Refusal."""
    if kind == OCTETS:
        return raw.parse(body)
    if kind == JSON:
        if len(body) > QUICK:
            return await decoders.run(lambda: json_body.Request(body).wish())
        request = json_body.Request(body)
        return await decoders.run(request.wish) if request.slow else request.wish()
    if kind == FORM:
        return await decoders.run(lambda: form.parse(body, content_type))
    return await decoders.run(lambda: Wish.of_pictures(pictures.digits([(body, "body")])))
