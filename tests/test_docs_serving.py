"""The examples of docs/serving.md, run against a real server; and the container file, as far as that goes without building it."""

import configparser
import json
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="fastapi is not installed: pip install 'budgetnet[serve]'")
from benchmarks.serving.process import free_port
from budgetnet.arguments import build_parser
from tests.serve_demo import picture
from tests.serve_process import serving

ROOT = Path(__file__).parent.parent
DOCUMENT = ROOT / "docs" / "serving.md"
CONTAINER = ROOT / "Containerfile"
PATIENCE = 120.0  # seconds


def blocks():
    """Every fenced block as (language, content), in order."""
    return re.findall(r"```(\w+)\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)


def curls():
    """Every line that asks the server, with the documented answer if one follows its block."""
    found = blocks()
    for (language, content), following in zip(found, [*found[1:], ("", "")], strict=True):
        lines = [line for line in content.splitlines() if language == "console" and "curl " in line]
        for line in lines:
            yield pytest.param(line, following[1] if following[0] == "json" else None, id=line.partition("#")[0].strip()[:70])


def pythons():
    return [pytest.param(content, id=f"{number}") for number, (language, content) in enumerate(blocks()) if language == "python"]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    with serving(folder, "--models", "step-09") as server:
        yield f"127.0.0.1:{server.port}"


@pytest.fixture
def folder(tmp_path):
    """With the files that the examples send."""
    (tmp_path / "digit.png").write_bytes(picture())
    (tmp_path / "photo.jpg").write_bytes(picture(form="JPEG", size=(400, 300)))
    return tmp_path


def run(command, folder):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def form(value):
    """A JSON value's form: names and types, not what they hold; of a list its first element."""
    if isinstance(value, dict):
        return {name: form(one) for name, one in value.items()}
    if isinstance(value, list):
        return [form(value[0])]
    return "number" if isinstance(value, int | float) else type(value).__name__


@pytest.mark.parametrize(("line", "documented"), [*curls()])
def test_curl(address, folder, line, documented):
    if shutil.which("curl") is None:
        pytest.skip("there is no curl: apt-get install curl")
    said = run(["bash", "-c", line.replace("localhost:8000", address).replace("curl ", "curl --silent --show-error ")], folder)
    if "/metrics" in line:
        assert "budgetnet_http_seconds" in said
        return
    found = json.loads(said)
    if documented is None:
        assert "error" not in found, found
    else:
        assert form(found) == form(json.loads(documented))


def test_the_documented_error_is_the_error(address, folder):
    if shutil.which("curl") is None:
        pytest.skip("there is no curl: apt-get install curl")
    documented = next(content for language, content in blocks() if language == "json" and '"error"' in content)
    (line,) = (param.values[0] for param in curls() if param.values[1] == documented)
    assert json.loads(run(["bash", "-c", line.replace("localhost:8000", address)], folder)) == json.loads(documented)


@pytest.mark.parametrize("code", pythons())
def test_python(address, folder, code):
    (folder / "example.py").write_text(code.replace("localhost:8000", address), encoding="utf-8")
    said = run([sys.executable, "example.py"], folder)
    assert re.search(r"^\d", said), said


def test_every_route_of_the_document_is_one(address):
    with urllib.request.urlopen(f"http://{address}/openapi.json", timeout=PATIENCE) as answer:
        known = set(json.load(answer)["paths"]) | {"/", "/docs", "/openapi.json"}
    told = set(re.findall(r"localhost:8000(/[\w./]*)", DOCUMENT.read_text(encoding="utf-8")))
    assert told <= known
    assert known <= told | {"/", "/docs"}


def test_the_metrics_of_the_document_are_told(address):
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=PATIENCE) as answer:
        told = answer.read().decode()
    names = set(re.findall(r"budgetnet_[a-z_]+", DOCUMENT.read_text(encoding="utf-8")))
    assert len(names) == 6
    assert all(f"# TYPE {name} " in told for name in names)


def test_the_defaults_of_the_document_are_the_command_s():
    arguments, text = build_parser().parse_args(["serve"]), DOCUMENT.read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `--(queue|connections|max-body|timeout|grace)` \| ([\d,]+)", text, re.MULTILINE))
    told = {name: int(value.replace(",", "")) for name, value in rows.items()}
    assert told == {
        "queue": arguments.queue, "connections": arguments.connections, "max-body": arguments.max_body // 2**20,
        "timeout": arguments.timeout, "grace": arguments.grace,
    }  # fmt: skip


def test_every_code_of_an_error_is_told():
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "budgetnet" / "serve").rglob("*.py"))
    raised = set(re.findall(r'Refusal\(\s*(\d{3}), "(\w+)"', code))
    table = re.findall(r"^\| ([\d, ]+) \| (`.*?`) \|", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    told = {(status, name) for statuses, names in table for status in statuses.split(", ") for name in re.findall(r"`(\w+)`", names)}
    assert raised <= told


# --- the container file -----------------------------------------------------------------------------------------------


def instructions(kind):
    return re.findall(rf"^{kind} +(.*)$", CONTAINER.read_text(encoding="utf-8").replace("\\\n", " "), re.MULTILINE)


def test_what_the_container_copies_is_there_and_not_ignored():
    kept = {line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line.startswith("!")}
    copied = {source for line in instructions("COPY") if "--from" not in line for source in line.split()[:-1]}
    assert copied == kept
    assert all((ROOT / source).exists() for source in copied)


def test_the_wheel_has_what_its_metadata_names():
    """setup.cfg names files that the first stage must have."""
    copied = {source for line in instructions("COPY") if "--from" not in line for source in line.split()[:-1]}
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    assert setup["metadata"]["long_description"].removeprefix("file: ") in copied
    assert setup["metadata"]["license_files"] in copied
    assert {"budgetnet", setup["options"]["package_dir"].partition("=")[2].strip()} <= copied


def test_the_extras_of_the_container_are_the_package_s():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    extras = {extra for line in instructions("RUN") for group in re.findall(r"\)\[([\w,-]+)\]", line) for extra in group.split(",")}
    assert extras == {"serve", "onnx", "tensorrt"}
    assert extras <= set(setup["options.extras_require"])


def test_the_commands_of_the_container_parse():
    (command,) = {line for line in instructions("CMD") if "budgetnet" in line}
    program, *words = json.loads(command)
    assert program == "budgetnet"
    arguments = build_parser().parse_args(words)
    assert (arguments.host, arguments.port) == ("0.0.0.0", int(instructions("EXPOSE")[0]))
    compiling = [line.split()[1:] for line in instructions("RUN") if line.startswith("budgetnet ")]
    assert [set(build_parser().parse_args(words).names) for words in compiling] == [{"step-13", "step-09"}]


def test_the_health_check_works(tmp_path):
    (check,) = re.findall(r"HEALTHCHECK.*?CMD (\[.*?\])$", CONTAINER.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    _, *arguments = json.loads(check)
    port = free_port()
    asked = [sys.executable, *(word.replace("127.0.0.1:8000", f"127.0.0.1:{port}") for word in arguments)]
    assert subprocess.run(asked, capture_output=True, check=False).returncode == 1
    with serving(tmp_path, port=port):
        assert subprocess.run(asked, capture_output=True, check=False).returncode == 0


@pytest.fixture
def proxy(address, tmp_path):
    """The documented nginx in front of the server, with its address; its header timeout is shortened to a second."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None:
        pytest.skip("nginx is not installed")
    (content,) = [content for language, content in blocks() if language == "nginx"]
    port = free_port()
    folders = "".join(f"{kind}_temp_path {tmp_path}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    for before, after in (
        ("listen 80;", f"listen 127.0.0.1:{port};"),
        ("127.0.0.1:8000", address),
        ("client_header_timeout 10s", "client_header_timeout 1s"),
        ("http {", f"http {{\naccess_log off;\n{folders}"),
    ):
        assert before in content
        content = content.replace(before, after)
    (tmp_path / "nginx.conf").write_text(content)
    settings = f"daemon off; pid {tmp_path}/nginx.pid; error_log stderr;"
    process = subprocess.Popen([nginx, "-p", tmp_path, "-c", "nginx.conf", "-g", settings], stderr=subprocess.PIPE, text=True)
    try:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                assert process.poll() is None, process.stderr.read()
                time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.communicate()


def test_nginx_in_front_forwards_predictions_and_bounds_slow_and_large_requests(proxy):
    def status(path, body=None, kind="application/octet-stream"):
        request = urllib.request.Request(f"http://127.0.0.1:{proxy}{path}", body, {"Content-Type": kind})
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code

    assert status("/") == 200
    assert status("/v1/predict", picture(), "image/png") == 200
    assert status("/v1/predict", bytes(9 * 2**20)) == 413
    assert status("/metrics") == 403
    with socket.create_connection(("127.0.0.1", proxy), timeout=PATIENCE) as slow:
        slow.sendall(b"GET / HTTP/1.1\r\nHost: t\r\nX-Slow:")
        assert slow.recv(1000)[:12] in (b"", b"HTTP/1.1 408")  # closed, though more could have come
