"""Access to the server: tokens, other sites, security headers, and errors at startup."""

import asyncio
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from starlette.responses import Response
from typer.testing import CliRunner

from fakelens.cli.app import app
from fakelens.web.guard import Access, Guard, is_loopback
from fakelens.web.limits import Limits
from support.serving import TIMEOUT, Server, connect, head, serving

TOKEN = 'a good token; with odd "characters" é'


@pytest.fixture(scope="module")
def token_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running server with a token of the user's own.

    It comes from the environment: on the command line, other users of the machine could read it.
    """
    folder = tmp_path_factory.mktemp("token_server") / "results"
    running = Server(folder, environment=os.environ | {"FAKELENS_TOKEN": TOKEN})
    yield running
    running.stop()


@pytest.fixture(scope="module")
def stranger(token_server: Server) -> Iterator[httpx.Client]:
    """A client of that server without the token."""
    with httpx.Client(base_url=token_server.url) as client:
        yield client


def raw(server: Server, request: str) -> str:
    """Send a request exactly as given, with the token, and return the response."""
    token = f"Authorization: {server.headers['Authorization']}\r\n"
    with connect(server) as connection:
        connection.sendall(f"{request}{token}Connection: close\r\n\r\n".encode())
        return b"".join(iter(lambda: connection.recv(65536), b"")).decode()


PAGES = ("/", "/docs", "/openapi.json", "/api/health", "/static/app.js", "/nowhere", "/api/jobs/x")


@pytest.mark.parametrize("path", PAGES)
def test_every_response_has_security_headers(server: Server, path: str) -> None:
    headers = server.client.get(path).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["frame-ancestors"] == "'none'"
    assert policy["base-uri"] == "'none'"
    assert policy["form-action"] == "'self'"
    assert set(policy.values()) <= {"'none'", "'self'"}, (
        "no inline scripts, nothing from other sites"
    )
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["cache-control"] in ("no-store", "no-cache")
    assert "server" not in headers


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_the_pages_load_nothing_from_other_sites(server: Server, path: str) -> None:
    page = server.client.get(path).text
    for address in re.findall(r'(?:src|href|action)="([^"]*)"', page):
        assert address.startswith("/"), address
        if address.startswith("/static/"):
            assert server.client.get(address).status_code == 200
    assert "<style" not in page
    assert " style=" not in page
    assert re.findall(r"<script[^>]*>(?!</script>)", page) == []


def test_the_documentation_lists_every_operation(server: Server) -> None:
    page = server.client.get("/docs").text
    for path, methods in server.client.get("/openapi.json").json()["paths"].items():
        assert f"<code>{path}</code>" in page
        assert all(operation["description"] for operation in methods.values())
    assert "curl --data-binary @clip.mp4" in page
    assert "-H &#34;Authorization: Bearer $TOKEN&#34;" in page


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("localhost:1234", 200),
        ("LOCALHOST.", 200),
        ("127.0.0.1", 200),
        ("127.1.2.3:80", 200),
        ("[::1]:8321", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("192.168.0.7", 421),
        ("0.0.0.0", 421),
        ("[::", 421),
        ("localhost@evil.example", 421),
        ("", 421),
    ],
)
def test_other_host_names_are_refused(server: Server, host: str, status: int) -> None:
    response = raw(server, f"GET /api/health HTTP/1.1\r\nHost: {host}\r\n")
    assert response.startswith(f"HTTP/1.1 {status} ")
    if status == 421:
        assert "this server is only available as localhost or 127.0.0.1" in response


FOREIGN = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://["},
    {"Origin": "http://localhost:1"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_requests_from_other_sites_are_refused(server: Server, headers: dict[str, str]) -> None:
    jobs = server.client.get("/api/jobs").json()["total"]
    for method, path in (("POST", "/api/jobs"), ("DELETE", f"/api/jobs/{'0' * 32}")):
        response = server.client.request(method, path, content=b"x", headers=headers)
        assert response.status_code == 403
        assert response.json()["detail"] == "requests from other sites are refused"
    assert server.client.get("/api/jobs").json()["total"] == jobs


def test_other_sites_can_only_link_to_pages(server: Server) -> None:
    embedded = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    assert server.client.get("/api/jobs", headers=embedded).status_code == 403
    followed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert server.client.get("/", headers=followed).status_code == 200


@pytest.mark.parametrize("site", ["same-origin", "none"])
def test_the_pages_of_the_server_may_change_jobs(server: Server, site: str) -> None:
    headers = {"Sec-Fetch-Site": site, "Origin": server.url}
    response = server.client.delete(f"/api/jobs/{'0' * 32}", headers=headers)
    assert response.status_code == 404


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {'x'}"},
        {"Authorization": "Bearer"},
        {"Cookie": "fakelens_1=x"},
    ],
    ids=str,
)
@pytest.mark.parametrize("path", ["/", "/api/health", "/docs", "/openapi.json", "/results/x/y"])
def test_requests_without_the_token_are_refused(
    stranger: httpx.Client, path: str, headers: dict[str, str]
) -> None:
    response = stranger.get(path, headers=headers)
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Bearer")
    assert "this server requires a valid token" in response.json()["detail"]
    page = stranger.get(path, headers=headers | {"Accept": "text/html"})
    assert page.status_code == 401
    assert 'type="password"' in page.text


def test_programs_send_the_token_in_a_header(stranger: httpx.Client) -> None:
    given = {b"Authorization": f"Bearer {TOKEN}".encode()}
    assert stranger.get("/api/health", headers=given).status_code == 200


@pytest.mark.parametrize("token", ["voilà", "Å", "à token Å"])
def test_a_token_may_end_in_a_byte_that_is_a_space_in_latin_1(token: str) -> None:
    guard = Guard(Response("in"), Access(local=False, token=token, port=1), Limits())

    async def ask(credentials: str) -> int:
        transport = httpx.ASGITransport(app=guard)
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            given = {b"Authorization": f"Bearer {credentials}".encode()}
            return (await client.get("/", headers=given)).status_code

    assert asyncio.run(ask(token)) == 200
    assert asyncio.run(ask(f" \t{token}\t ")) == 200
    assert asyncio.run(ask(token[:-1])) == 401


def test_browsers_get_a_cookie_in_exchange_for_the_token(token_server: Server) -> None:
    with httpx.Client(base_url=token_server.url) as browser:
        assert browser.get("/", params={"token": "wrong"}).status_code == 401
        response = browser.get("/", params={"token": TOKEN})
        assert (response.status_code, response.headers["location"]) == (303, "/")
        cookie = response.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert TOKEN not in cookie
        assert browser.get("/").status_code == 200
        assert browser.get("/api/health").status_code == 200
        assert browser.get("/", params={"x": "1"}).status_code == 200
        foreign = {"Origin": "https://evil.example"}
        assert browser.post("/api/jobs", content=b"x", headers=foreign).status_code == 403


ODD_COOKIES = (
    "a(b)=c",
    "x=[1, 2]",
    'x="unclosed',
    "no value",
    "=no name",
    "\u00fc=\u00df",
    "fakelens_{port}=of somebody else",
)


@pytest.mark.parametrize("odd", ODD_COOKIES)
def test_cookies_of_other_servers_on_this_machine_do_no_harm(
    stranger: httpx.Client, odd: str
) -> None:
    """Browsers send the cookies of all servers of a host, whatever the port."""
    answer = stranger.get("/", params={"token": TOKEN})
    own = answer.headers["set-cookie"].partition(";")[0]
    stranger.cookies.clear()
    odd = odd.format(port=stranger.base_url.port)
    for cookies in (f"{odd}; {own}", f"{own}; {odd}", f"{odd};{own};{odd}"):
        given = {b"Cookie": cookies.encode()}
        assert stranger.get("/", headers=given).status_code == 200, cookies
    assert stranger.get("/", headers={b"Cookie": odd.encode()}).status_code == 401


def test_many_cookies_of_other_servers_do_no_harm(server: Server) -> None:
    cookies = "; ".join(f"other{number}={'x' * 3000}" for number in range(15))
    request = head(server, "GET /api/health", f"Cookie: {cookies}\r\n")
    with connect(server) as connection:
        connection.sendall(request[:30_000])
        time.sleep(0.1)  # so that they arrive in parts
        connection.sendall(request[30_000:])
        assert connection.recv(100).startswith(b"HTTP/1.1 200 ")


def test_the_token_is_never_logged(token_server: Server, stranger: httpx.Client) -> None:
    stranger.get("/", params={"token": "wrong token"})
    assert "wrong" not in token_server.log.read_text(encoding="utf-8")


def test_a_token_is_required_on_this_machine_too(server: Server) -> None:
    """Other users of the machine can reach the server, and any program of theirs."""
    token = httpx.URL(server.printed).params["token"]
    assert len(token) >= 32
    assert httpx.get(f"{server.url}/api/jobs").status_code == 401
    with httpx.Client(follow_redirects=True) as browser:
        assert browser.get(server.printed).url == f"{server.url}/"
        assert browser.get(f"{server.url}/api/jobs").status_code == 200


def test_the_token_can_be_switched_off(tmp_path: Path) -> None:
    with serving(tmp_path / "results", "--no-token") as server:
        assert server.printed == f"{server.url}/"
        assert httpx.get(f"{server.url}/api/jobs").status_code == 200


def test_a_server_that_others_can_reach_creates_a_token(tmp_path: Path) -> None:
    with serving(tmp_path / "results", "--host", "0.0.0.0", "--quiet") as server:
        url = httpx.URL(server.printed)
        token = url.params["token"]
        assert len(token) >= 32
        here = f"http://127.0.0.1:{url.port}"
        assert httpx.get(f"{here}/api/health").status_code == 401
        given = {"Authorization": f"Bearer {token}", "Host": "a-name-of-this-machine"}
        assert httpx.get(f"{here}/api/health", headers=given).status_code == 200


@pytest.mark.parametrize(
    ("host", "expected"),
    [("localhost", True), ("127.9.9.9", True), ("::1", True), ("0.0.0.0", False), ("x", False)],
)
def test_loopback_addresses_are_recognised(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def refused(folder: Path, *options: object) -> tuple[int, str]:
    """Return exit code and message of a server that does not start."""
    arguments = ["serve", "--port", 0, "--folder", folder, *options]
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert isinstance(done.exception, SystemExit), done.exception
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("fakelens: ")
    return done.exit_code, line


def test_two_servers_do_not_share_a_folder(server: Server) -> None:
    # In a separate process: if it started, it would not end.
    command = [sys.executable, "-m", "fakelens", "serve", "--port", "0", "--folder", server.folder]
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False, timeout=TIMEOUT
    )
    assert done.returncode == 1
    assert "in use by another 'fakelens serve'" in done.stderr
    assert server.client.get("/api/health").status_code == 200


def test_errors_at_startup_are_reported(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    taken = httpx.URL(server.url).port
    for options, code, words in (
        (("--port", taken), 1, f"cannot listen on 127.0.0.1, port {taken}"),
        (("--host", "no.such.host.invalid"), 1, "cannot listen on no.such.host.invalid"),
        (("--folder", tmp_path / "file"), 1, "results cannot be stored there"),
        (("--model", "nonsense"), 2, "fakelens-patch"),
        (("--model", "nowhere.onnx"), 1, "nowhere.onnx"),
        (("--workers", 0), 2, "--workers must be 1 or more"),
        (("--max-upload", 0), 2, "--max-upload must be 1 or more"),
        (("--token", ""), 2, "--token must not be empty"),
        (("--token", "x", "--no-token"), 2, "--no-token cannot be combined with --token"),
        (("--host", "0.0.0.0", "--no-token"), 2, "--no-token needs a loopback address"),
    ):
        exit_code, message = refused(tmp_path / "results", *options)
        assert exit_code == code, message
        assert words in message
    assert not (tmp_path / "results").exists()


def test_a_folder_of_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    with sqlite3.connect(tmp_path / "results" / "jobs.sqlite3") as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    code, message = refused(tmp_path / "results")
    assert code == 1
    assert "another version of fakelens (format 99" in message


SIGNAL_ITSELF = """
import os, sys
from fakelens.cli.app import app

class Finder:
    def find_spec(self, name, path, target=None):
        if name == "{module}":
            os.kill(os.getpid(), {signal})

sys.meta_path.insert(0, Finder())
sys.argv = ["fakelens", "serve", "--port", "0"]
app()
"""


@pytest.mark.parametrize(
    ("number", "module", "code"),
    [
        (signal.SIGINT, "fastapi.routing", 130),
        (signal.SIGTERM, "uvicorn.protocols.http.flow_control", 0),
    ],
)
def test_a_signal_during_startup_ends_the_server_silently(
    number: signal.Signals, module: str, code: int, tmp_path: Path
) -> None:
    program = SIGNAL_ITSELF.format(module=module, signal=int(number))
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")


def test_a_missing_extra_is_reported(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['uvicorn'] = None; sys.argv = ['fakelens', 'serve'];"
        "from fakelens.cli.app import app; app()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 1
    assert done.stderr.strip() == (
        "fakelens: fakelens serve needs the extra 'web': run pip install '.[web]' in the fakelens "
        "folder"
    )
