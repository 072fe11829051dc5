"""10,000 malformed bodies: never a 500, never a hang, and a good request is answered afterwards."""

import base64
import json
import random
import select
import socket
import struct
import zlib

import pytest

pytest.importorskip("fastapi", reason="fastapi is not installed: pip install 'budgetnet[serve]'")
pytest.importorskip("hypothesis")
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from budgetnet.serve.settings import Settings
from tests.serve_demo import images_of, picture, server
from tests.serve_in_process import PATIENCE, Answer, in_process

JSON, OCTETS, FORM = "application/json", "application/octet-stream", "multipart/form-data; boundary=frontier"
MOMENT = 0.05  # seconds in which a server answers that has something to say
REFUSALS = {400, 404, 413, 415, 422}
DIGIT = images_of(7)[0]
ROWS = DIGIT.tolist()
GOOD_TEXT = base64.b64encode(DIGIT.tobytes()).decode()
GOOD_BODY = json.dumps({"image": GOOD_TEXT}).encode()
KINDS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.sampled_from(["", "1", "step-13", "demo", "data:,"]),
    st.sampled_from([10**400, -(10**30), 256, -1, 1.5, 1e308, 5e-324]),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=3), max_leaves=8
)


@st.composite
def broken_rows(draw):
    """28 rows of 28 numbers, but for one of them, or with other lengths."""
    rows = [list(row) for row in ROWS]
    row = draw(st.integers(0, 27))
    what = draw(st.integers(0, 3))
    if what == 0:
        rows[row][draw(st.integers(0, 27))] = draw(SCALARS)
    elif what == 1:
        rows[row] = draw(SCALARS | st.lists(st.integers(0, 255), max_size=30))
    elif what == 2:
        rows = rows[: draw(st.integers(0, 27))]
    else:
        rows.append(rows[0])
    return rows


@st.composite
def broken_text(draw):
    """Base64 of something else, or no base64 at all."""
    content = draw(st.sampled_from([GOOD_TEXT, base64.b64encode(picture()).decode()]))
    place = draw(st.integers(0, len(content)))
    return content[:place] + draw(st.text(max_size=3)) + content[place + draw(st.integers(0, 4)) :]


IMAGES = broken_rows() | broken_text() | VALUES | st.sampled_from([ROWS, GOOD_TEXT])


@st.composite
def almost(draw):
    """An object with the right names and the wrong values."""
    names = draw(st.lists(st.sampled_from(["image", "images", "model", "seen", "scale", "picture"]), min_size=1, max_size=4, unique=True))
    found = {}
    for name in names:
        found[name] = draw(IMAGES if name == "image" else st.lists(IMAGES, max_size=3) if name == "images" else SCALARS)
    return json.dumps(found).encode("utf-8", "surrogatepass")


def damaged(contents):
    """Files and bodies that were cut off, or changed in places."""

    @st.composite
    def found(draw):
        content = bytearray(draw(st.sampled_from(contents)))
        chosen = random.Random(draw(st.integers(0, 2**32)))
        for _ in range(chosen.randint(0, 6)):
            content[chosen.randrange(len(content))] = chosen.randrange(256)
        return bytes(content[: chosen.randrange(len(content))] if chosen.random() < 0.5 else content)

    return found()


def form(*parts):
    """A multipart body of (headers, content)."""
    return b"".join(b"--frontier\r\n" + head + b"\r\n\r\n" + content + b"\r\n" for head, content in parts) + b"--frontier--\r\n"


FILE = (b'Content-Disposition: form-data; name="file"; filename="a.png"\r\nContent-Type: image/png', picture())
MODEL = (b'Content-Disposition: form-data; name="model"', b"demo")
SEEN = (b'Content-Disposition: form-data; name="seen"', b"perhaps")
FORMS = [
    form(FILE),
    form(FILE, MODEL),
    form(MODEL),
    form(FILE, FILE, SEEN),
    form((b"X: y", b"")),
    form((b'Content-Disposition: "', b"x")),
    b"",
]
PICTURES = [picture(form=kind, size=(side, side)) for kind in KINDS for side in (28, 84)]
NESTED = st.builds(
    lambda opening, depth: opening * depth, st.sampled_from([b"[", b'{"image":', b"[[", b'{"images":[']), st.integers(1, 5000)
)
GOOD = [GOOD_BODY, json.dumps({"images": [ROWS, GOOD_TEXT], "seen": True}).encode(), json.dumps({"image": ROWS, "scale": 255}).encode()]
BODIES = {
    "JSON of any shape": (1200, JSON, VALUES.map(lambda value: json.dumps(value).encode("utf-8", "surrogatepass"))),
    "almost right": (1800, JSON, almost()),
    "JSON cut off or changed": (2300, JSON, damaged(GOOD)),
    "nested": (200, JSON, NESTED),
    "no JSON": (700, JSON, st.binary(max_size=60)),
    "forms": (
        1300,
        FORM,
        damaged(FORMS[:-1]) | st.sampled_from(FORMS) | st.binary(max_size=60).map(lambda content: form((content, content))),
    ),
    "pictures": (1400, "image/png", damaged(PICTURES) | st.binary(max_size=60)),
    "bytes": (600, OCTETS, st.integers(0, 3000).map(bytes)),
}


def test_they_are_ten_thousand():
    assert sum(number for number, _, _ in BODIES.values()) + 500 == 10_000  # with those of the headers


@pytest.fixture(scope="module")
def asked():
    with in_process() as running:
        yield running


def assert_refused_or_right(answer: Answer) -> None:
    if answer.status == 200:  # not malformed, by chance
        assert json.loads(answer.content)["predictions"]
    else:
        assert answer.status in REFUSALS, answer
        assert answer.error["code"] in {"not_json", "bad_form", "unknown_model", "too_large", "unsupported_type", "invalid"}


def assert_well(asked) -> None:
    assert asked.post(GOOD_BODY).status == 200


@pytest.mark.parametrize("name", BODIES)
def test_no_body_is_too_much(asked, name):
    number, content_type, bodies = BODIES[name]

    @settings(max_examples=number, suppress_health_check=list(HealthCheck), database=None)
    @given(bodies)
    def check(body):
        assert_refused_or_right(asked.post(body, content_type))

    check()
    assert_well(asked)


LATIN = st.text(st.characters(codec="latin-1"), max_size=40)


@settings(max_examples=500, suppress_health_check=list(HealthCheck), database=None)
@given(
    LATIN | st.sampled_from([JSON, OCTETS, FORM, "multipart/form-data", "image/", "IMAGE/PNG; q=1", f"{JSON}; charset=latin-1"]),
    LATIN,
    st.sampled_from(GOOD),
)
def test_no_content_type_and_no_query_is_too_much(asked, content_type, query, body):
    assert_refused_or_right(asked.post(body, content_type, query))


# --- pictures that are larger than they look --------------------------------------------------------------------------


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, data: bytes, *more: bytes) -> bytes:
    """One bit for each pixel."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join([chunk(b"IHDR", header), *more, chunk(b"IDAT", data), chunk(b"IEND", b"")])


def white(width: int, height: int) -> bytes:
    """The compressed rows, without ever having them all."""
    packer, row = zlib.compressobj(1), b"\0" + b"\xff" * -(-width // 8)
    return b"".join(packer.compress(row) for _ in range(height)) + packer.flush()


def test_a_bomb_is_refused_by_its_size(asked):
    bomb = png(50_000, 50_000, white(50_000, 50_000))
    for content in (bomb, bomb[:4096]):
        for answer in (
            asked.post(content, "image/png"),
            asked.post(form((FILE[0], content)), FORM),
            asked.post(json.dumps({"images": [GOOD_TEXT, base64.b64encode(content).decode()]}).encode()),
        ):
            assert answer.status == 422
            assert "megapixels" in answer.error["message"]
    assert answer.error["field"] == "images[1]"
    assert_well(asked)


@pytest.mark.parametrize(
    "content",
    [
        b"GIF89a" + struct.pack("<HHBBB", 65_535, 65_535, 0, 0, 0) + b",\0\0\0\0" + struct.pack("<HH", 65_535, 65_535) + b"\0\x08\0;",
        b"BM" + struct.pack("<IIIIiiHHIIIIII", 100, 0, 54, 40, 2_000_000, 2_000_000, 1, 24, 0, 0, 0, 0, 0, 0),
        b"P6 99999999 99999999 255\n",
        picture(form="JPEG").replace(struct.pack(">HH", 80, 80), struct.pack(">HH", 65_500, 65_500)),
        png(28, 28, white(28, 28), *[chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2**22)))] * 20),
        png(28, 28, white(28, 28), chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(2**26)))),
        png(28, 28, zlib.compress(bytes(2**26))),
        png(0, 0, b""),
        png(2**31 - 1, 1, b""),
    ],
    ids=["GIF", "BMP", "PPM", "JPEG", "PNG's texts", "PNG's profile", "too many rows", "no pixel", "one row"],
)
def test_other_bombs_are_refused(asked, content):
    answer = asked.post(content, "image/png")
    assert answer.status == 422
    assert answer.error["field"] == "body"
    assert_well(asked)


# --- what is no HTTP, or lies about itself ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def port():
    """Of a real server, in a thread."""
    with server(settings=Settings(timeout=2.0, max_body=100_000)) as (_, port, _):
        yield port


def said(port: int, *pieces: bytes, ends: bool = True) -> bytes:
    """What comes back for bytes on a connection. With ``ends`` the client waits a moment for it, then says that it sends no more."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
            if ends and not select.select([connection], [], [], MOMENT)[0]:
                connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65_536), b""))
        except (BrokenPipeError, ConnectionResetError):
            return b""  # the server has seen enough


def head(length: object, *more: str, kind: str = JSON) -> bytes:
    lines = ["POST /v1/predict HTTP/1.1", "Host: localhost", f"Content-Type: {kind}", f"Content-Length: {length}", *more, "", ""]
    return "\r\n".join(lines).encode("latin-1", "replace")


def statuses(content: bytes) -> list[int]:
    """Of every answer in what came back."""
    return [int(piece[:3]) for piece in content.split(b"HTTP/1.1 ")[1:]]


def assert_server_well(port: int) -> None:
    answer = said(port, head(784, "Connection: close", kind=OCTETS) + DIGIT.tobytes(), ends=False)
    assert statuses(answer) == [200]


LENGTHS = st.integers(-5, 2 * len(GOOD_BODY)) | st.sampled_from(
    ["", "x", "1e3", "0x10", "1, 2", "99999999999999999999", "+5", "5\r\nContent-Length: 6"]
)
LINES = st.text(st.characters(codec="latin-1", exclude_characters="\r\n"), max_size=30)


@settings(max_examples=200, suppress_health_check=list(HealthCheck), database=None)
@given(
    LENGTHS,
    st.lists(
        LINES | st.sampled_from(["Transfer-Encoding: chunked", "Expect: 100-continue", "X" * 70_000, "Content-Encoding: gzip"]), max_size=2
    ),
)
def test_headers_that_lie(port, length, lines):
    found = said(port, head(length, *lines) + GOOD_BODY)
    assert all(status < 500 for status in statuses(found)), found
    assert b"Traceback" not in found


@settings(max_examples=100, suppress_health_check=list(HealthCheck), database=None)
@given(st.binary(max_size=200))
def test_what_is_no_http(port, content):
    assert all(status < 500 for status in statuses(said(port, content))), content


@pytest.mark.parametrize(
    ("status", "pieces"),
    [
        (413, [head(200_000)]),
        (413, [head(10**18), b"{"]),
        (408, [head(500), b'{"image": ']),
        (415, [head(3, "Content-Encoding: gzip", "Connection: close"), b"abc"]),
    ],
    ids=["large", "very large", "slow body", "packed"],
)
def test_broken_requests_are_told_so(port, status, pieces):
    """The client waits: neither side says that it is done, but the server answers and closes."""
    found = said(port, *pieces, ends=False)
    assert statuses(found) == [status]
    assert json.loads(found.partition(b"\r\n\r\n")[2])["error"]["message"]


def test_a_body_in_chunks_that_grows_too_large(port):
    chunks = b"8000\r\n" + bytes(0x8000) + b"\r\n"
    start = head(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    found = said(port, start, *[chunks] * 6, ends=False)
    assert statuses(found) in ([413], [])  # nothing: it was closed while the rest was sent


def test_the_server_is_well_after_all_this(port):
    for seed in range(5):
        said(port, random.Random(seed).randbytes(500))
    assert_server_well(port)
