"""The guard: checks every request, and tells browsers what they may do with the responses.

Requests need a token, because other users of this machine can reach the server too. Any page open
in a browser can send requests to it. So on loopback the host name in the request must be one of
this machine (a page could make its own name resolve to this machine), and requests from other sites
are refused. All this is checked before the body of the request is read.
"""

import hashlib
import hmac
import ipaddress
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fakelens.web.bodies import Body
from fakelens.web.connections import ACCEPTED
from fakelens.web.limits import Limits
from fakelens.web.rendering import error_response

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
_PUBLIC = "/static/"  # the page that asks for the token needs these files
_UPLOADS = {("POST", "/api/jobs")}  # limits its body itself
_MAX_BODY = 4_000_000  # bytes, for all other requests
_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
_OWN_SITES = {"same-origin", "none"}  # "none": typed by the user, or a bookmark


def is_loopback(host: str) -> bool:
    """Return whether a host name or address can only be reached from this machine."""
    if host.rstrip(".").lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Access:
    """Who may use the server.

    Attributes:
        local: whether only this machine can reach the server.
        token: that clients must send; ``None`` if none is needed.
        port: of the server, to tell apart the cookies of several servers on one machine.
    """

    local: bool
    token: str | None
    port: int

    @property
    def cookie_name(self) -> str:
        """The name of the cookie."""
        return f"fakelens_{self.port}"

    def accepts_token(self, token: bytes) -> bool:
        """Return whether this is the token, in a time that does not depend on it."""
        if self.token is None:
            return True
        digests = (hashlib.sha256(each).digest() for each in (token, self.token.encode()))
        return hmac.compare_digest(*digests)

    def accepts_cookie(self, cookies: str) -> bool:
        """Return whether a Cookie header contains the cookie given in exchange for the token.

        The other cookies are those of any server on this machine, so they may be malformed, and
        one of them may have the same name.
        """
        wanted = f"{self.cookie_name}={self.cookie_value()}".encode()
        return any(
            hmac.compare_digest(cookie.strip().encode(), wanted) for cookie in cookies.split(";")
        )

    def cookie_value(self) -> str:
        """Return the value of the cookie, from which the token cannot be derived."""
        return hmac.new((self.token or "").encode(), b"fakelens cookie", "sha256").hexdigest()


class Guard:
    """ASGI middleware that checks every request and sets headers on every response."""

    def __init__(self, app: ASGIApp, access: Access, limits: Limits) -> None:
        self._app, self._access, self._limits = app, access, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request, as an ASGI application."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        is_upload = (scope["method"], scope["path"]) in _UPLOADS
        body = Body(receive, self._limits, None if is_upload else _MAX_BODY)

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                body.answered = True
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        if refusal := self._check(scope, Headers(scope=scope)):
            await refusal(scope, body.receive, send_guarded)
            return
        accept = scope.get("state", {}).get(ACCEPTED)
        if accept and not scope["path"].startswith(_PUBLIC):
            accept()
        await self._app(scope, body.receive, send_guarded)

    def _check(self, scope: Scope, headers: Headers) -> Response | None:
        """Return a response that refuses the request, or ``None`` to let it through."""
        if self._access.local and not is_loopback(_host(headers.get("host", ""))):
            return error_response(
                421,
                "this server is only available as localhost or 127.0.0.1: use one of these "
                "addresses, or start the server with --host to make it available to others",
                headers,
            )
        if _is_foreign(scope["method"], headers):
            return error_response(403, "requests from other sites are refused", headers)
        if self._access.token is not None and (refusal := self._check_token(scope, headers)):
            return refusal
        if "content-length" in headers and "transfer-encoding" in headers:
            # The body would have another size than the one announced, which the quota relies on.
            response = error_response(
                400,
                "the request has both Content-Length and Transfer-Encoding: send only one of them",
                headers,
            )
            response.headers["Connection"] = "close"
            return response
        return None

    def _check_token(self, scope: Scope, headers: Headers) -> Response | None:
        if scope["path"].startswith(_PUBLIC):
            return None
        scheme, _, credentials = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            # Starlette decodes headers as Latin-1. In it, the last byte of a letter in UTF-8 may be
            # a space, which only a plain strip() removes.
            if self._access.accepts_token(credentials.strip(" \t").encode("latin-1")):
                return None
        else:
            if scope["path"] == "/" and scope["method"] == "GET" and scope["query_string"]:
                (token, *_) = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])
                if self._access.accepts_token(token.encode()):
                    return self._set_cookie()
            if self._access.accepts_cookie(headers.get("cookie", "")):
                return None
        response = error_response(
            401,
            "this server requires a valid token: send it as 'Authorization: Bearer TOKEN', or open "
            "the address that 'fakelens serve' printed",
            headers,
            page="token.html.jinja",
        )
        response.headers["WWW-Authenticate"] = 'Bearer realm="fakelens"'
        return response

    def _set_cookie(self) -> Response:
        """Exchange the token in the URL for a cookie, to keep it out of the browser's history."""
        response = RedirectResponse("/", status_code=303)
        response.set_cookie(
            self._access.cookie_name, self._access.cookie_value(), httponly=True, samesite="strict"
        )
        return response


def _host(header: str) -> str:
    """Return the name or address in a Host header, without the port and IPv6 brackets."""
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""


def _is_foreign(method: str, headers: Headers) -> bool:
    """Return whether another site sent the request, unless it only links to a page."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        if site in _OWN_SITES:
            return False
        return method not in _SAFE_METHODS or headers.get("sec-fetch-mode") != "navigate"
    origin = headers.get("origin")
    if method in _SAFE_METHODS or origin is None:
        return False
    try:
        return urlsplit(origin).netloc.lower() != headers.get("host", "").lower()
    except ValueError:
        return True
