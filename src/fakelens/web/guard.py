"""In front of everything: who may ask, and what a browser may do with the answers.

On this machine alone nobody has to prove who they are, but any page in the browser can send
requests to it: so the address asked for must be that of this machine (a page could have its own
name point here), and no request may come from another site. For others there is a token.
"""

import hashlib
import hmac
import ipaddress
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fakelens.web.rendering import refusal

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_LARGE = {("POST", "/api/jobs")}  # that takes care of itself
_LARGEST_BODY = 4_000_000  # bytes, of everything else
_READING = {"GET", "HEAD", "OPTIONS"}
_OURS = {"same-origin", "none"}  # "none": typed in, or a bookmark


def is_loopback(host: str) -> bool:
    """Whether a name or address is that of this machine, for this machine alone."""
    if host.rstrip(".").lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Access:
    """Who may ask.

    Attributes:
        local: only this machine can reach the server.
        token: that everybody has to know; ``None`` asks for none.
        port: tells the cookies of several servers on one machine apart.
    """

    local: bool
    token: str | None
    port: int

    @property
    def cookie(self) -> str:
        """Its name."""
        return f"fakelens_{self.port}"

    def knows(self, token: bytes) -> bool:
        """Whether this is the token; takes as long whatever it is."""
        if self.token is None:
            return True
        digests = (hashlib.sha256(each).digest() for each in (token, self.token.encode()))
        return hmac.compare_digest(*digests)

    def knows_cookie(self, cookies: str) -> bool:
        """Whether a header of cookies has the one that the token was exchanged for."""
        try:
            found = SimpleCookie(cookies).get(self.cookie)
        except CookieError:
            return False
        said = found.value if found else ""
        return self.token is None or hmac.compare_digest(said.encode(), self.pass_card().encode())

    def pass_card(self) -> str:
        """The cookie's value: shows that the token is known, without being it."""
        return hmac.new((self.token or "").encode(), b"fakelens cookie", "sha256").hexdigest()


class Guard:
    """Wraps an application: checks every request, and sets headers on every answer."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An ASGI application."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        answer = self._answer(scope, Headers(scope=scope))
        if (scope["method"], scope["path"]) not in _LARGE:
            receive = _limited(receive)
        await (answer or self._app)(scope, receive, send_guarded)

    def _answer(self, scope: Scope, headers: Headers) -> Response | None:
        """Instead of the application's; ``None`` lets the request through."""
        if self._access.local and not is_loopback(_host(headers.get("host", ""))):
            return refusal(
                421,
                "this server answers to localhost and 127.0.0.1 only: open it under that address, "
                "or start it with --host to let others in",
                headers,
            )
        if _is_foreign(scope["method"], headers):
            return refusal(403, "another site asked for this, so it was not done", headers)
        return None if self._access.token is None else self._admit(scope, headers)

    def _admit(self, scope: Scope, headers: Headers) -> Response | None:
        if scope["path"].startswith("/static/"):
            return None  # what the page that asks for the token is drawn with
        scheme, _, credentials = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            # Headers are read as Latin-1, whatever they are.
            if self._access.knows(credentials.strip().encode("latin-1")):
                return None
        else:
            if scope["path"] == "/" and scope["method"] == "GET" and scope["query_string"]:
                (token, *_) = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])
                if self._access.knows(token.encode()):
                    return self._exchange()
            if self._access.knows_cookie(headers.get("cookie", "")):
                return None
        refused = refusal(
            401,
            "this server wants a token, and the right one: send it as 'Authorization: Bearer "
            "TOKEN', or open the address that 'fakelens serve' printed",
            headers,
            page="token.html.jinja",
        )
        refused.headers["WWW-Authenticate"] = 'Bearer realm="fakelens"'
        return refused

    def _exchange(self) -> Response:
        """The token of an address for a cookie: it does not stay in the browser's history."""
        answer = RedirectResponse("/", status_code=303)
        answer.set_cookie(
            self._access.cookie, self._access.pass_card(), httponly=True, samesite="strict"
        )
        return answer


def _limited(receive: Receive) -> Receive:
    size = 0

    async def receive_limited() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > _LARGEST_BODY:
            raise HTTPException(
                413, f"the body is larger than the {_LARGEST_BODY / 1e6:g} MB that this takes"
            )
        return message

    return receive_limited


def _host(header: str) -> str:
    """The name or address in a Host header, without the port and the brackets of IPv6."""
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""


def _is_foreign(method: str, headers: Headers) -> bool:
    """Whether another site asked: for a change, or for more than to be shown a page."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        if site in _OURS:
            return False
        return method not in _READING or headers.get("sec-fetch-mode") != "navigate"
    origin = headers.get("origin")
    if method in _READING or origin is None:
        return False
    try:
        return urlsplit(origin).netloc.lower() != headers.get("host", "").lower()
    except ValueError:
        return True
