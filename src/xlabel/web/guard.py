"""Who may talk to a server on this machine: who knows its token, from a page that it gave out itself.

The token is the first part of each path, so that pictures and modules need no cookie, which other servers on
this machine would see. A page of somebody else's can send requests here, by this name or by one that it has
pointed at this machine: those have another Origin or another Host.

A browser is started by an invitation, an address that is good once, for others see its command line; so the
token stands in none.
"""

import ipaddress
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any

from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from xlabel.web import peers

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors {ancestors}"
)
HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
NOTEBOOKS = "http: https: vscode-webview:"
"""Where a page may be framed that a notebook shows: wherever that runs."""
INVITED = 60
"""Seconds for which an invitation is good."""


def new_token() -> str:
    """A token that nobody guesses."""
    return secrets.token_urlsafe(24)


class Hosts:
    """By which names a server may be asked."""

    def __init__(self, names: Iterable[str], port: int, *, addresses: bool = False) -> None:
        """`addresses`: by any address in numbers too. No page can point such a one at another machine."""
        bare = tuple(f"[{name}]" if ":" in name else name.lower() for name in names)
        self._own = {f"{name}:{port}" for name in bare} | (set(bare) if port == 80 else set())
        self._addresses = addresses

    def __contains__(self, host: str) -> bool:
        return host.lower() in self._own or (self._addresses and _is_address(host))


class Guard:
    """Lets requests through to an app whose path begins with the token, from one of its own hosts."""

    def __init__(self, app: ASGIApp, token: str, hosts: Hosts, *, framed: bool = False) -> None:
        """`framed`: other pages may show this one."""
        self._app = app
        self._prefix = f"/{token}"
        self._hosts = hosts
        self._headers = HEADERS | {
            "Content-Security-Policy": POLICY.format(ancestors=NOTEBOOKS if framed else "'none'")
        }
        self._invitations: dict[str, float] = {}

    def invitation(self) -> str:
        """A path that leads to the page once, for a program of this user's."""
        path = f"/{new_token()}"
        self._invitations[path] = time.monotonic() + INVITED
        return path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sent = _answering(send, self._headers)
        answer = self._answer(scope)
        if answer is not None:
            await answer(scope, receive, sent)
            return
        path = scope["path"].removeprefix(self._prefix)
        await self._app(dict(scope, path=path, raw_path=path.encode()), receive, sent)

    def _answer(self, scope: Scope) -> Response | None:
        """What is said to whoever may not ask, or is to ask at another address; None to the others."""
        hosts = _values(scope, b"host")
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            return PlainTextResponse(
                "This server is asked by another name than its own. Open the address that it printed; "
                "through a tunnel, with the same port at both ends.",
                403,
            )
        if any(origin.lower() != f"http://{hosts[0].lower()}" for origin in _values(scope, b"origin")):
            return PlainTextResponse("Another page asks for this.", 403)
        reading = scope["method"] in ("GET", "HEAD")
        visiting = reading and _values(scope, b"sec-fetch-mode") == ["navigate"]
        if not visiting and {"cross-site", "same-site"}.intersection(_values(scope, b"sec-fetch-site")):
            return PlainTextResponse("Another page asks for this.", 403)
        path = scope["path"]
        if scope["method"] == "GET" and self._invited(path, scope):
            return RedirectResponse(f"{self._prefix}/", 303)
        if reading and _same(path, self._prefix):
            return RedirectResponse(f"{self._prefix}/", 308)
        if not _same(path[: len(self._prefix) + 1], f"{self._prefix}/"):
            return PlainTextResponse(
                "Not found. The whole address that xlabel review printed is needed; it is another after a "
                "restart if its port was taken.",
                404,
            )
        return None

    def _invited(self, path: str, scope: Scope) -> bool:
        """Whether it is an invitation, which then is good no more, from the user whose server this is."""
        until = self._invitations.pop(path, 0)
        return time.monotonic() < until and peers.is_own(scope.get("client"), scope.get("server"))


def _same(one: str, other: str) -> bool:
    """Whether texts are equal, in a time that does not tell how much of them is."""
    return secrets.compare_digest(one.encode(), other.encode())


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def _is_address(host: str) -> bool:
    """Whether a Host is an address in numbers, with or without a port."""
    name, _, port = host.rpartition(":")
    if not name or not port.isdecimal():
        name = host
    try:
        ipaddress.ip_address(name[1:-1] if name.startswith("[") and name.endswith("]") else name)
    except ValueError:
        return False
    return True


def _answering(
    send: Send, headers: Mapping[str, str]
) -> Callable[[MutableMapping[str, Any]], Awaitable[None]]:
    """Adds headers to each answer that has not said them itself."""
    encoded = [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    async def sent(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            there = {name for name, _ in message["headers"]}
            message["headers"] = [*message["headers"], *((n, v) for n, v in encoded if n not in there)]
        await send(message)

    return sent
