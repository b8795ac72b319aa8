"""Who may talk to a server on this machine: who knows its token, from a page that it gave out itself.

The token is the first part of each path, so that pictures and modules need no cookie, which other servers on
this machine would see. A page of somebody else's can send requests here, by this name or by one that it has
pointed at this machine: those have another Origin or another Host.
"""

import secrets
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors {ancestors}"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def new_token() -> str:
    """A token that nobody guesses."""
    return secrets.token_urlsafe(24)


class Guard:
    """Lets requests through to an app whose path begins with the token, from one of its own hosts."""

    def __init__(self, app: ASGIApp, token: str, hosts: frozenset[str], *, framed: bool = False) -> None:
        """`hosts` are what the Host header may say, with port. `framed`: other pages may show this one."""
        self._app = app
        self._prefix = f"/{token}"
        self._hosts = hosts
        policy = HEADERS["Content-Security-Policy"].format(ancestors="*" if framed else "'none'")
        self._headers = HEADERS | {"Content-Security-Policy": policy}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sent = _answering(send, self._headers)
        refused = self._refused(scope)
        if refused is not None:
            await refused(scope, receive, sent)
            return
        path = scope["path"].removeprefix(self._prefix)
        await self._app(dict(scope, path=path or "/", raw_path=None), receive, sent)

    def _refused(self, scope: Scope) -> PlainTextResponse | None:
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        if headers.get(b"host", "").lower() not in self._hosts:
            return PlainTextResponse("This server is asked by another name than its own.", 403)
        origin = headers.get(b"origin")
        own = {f"http://{host}" for host in self._hosts}
        if origin is not None and origin.lower() not in own:
            return PlainTextResponse("Another page asks for this.", 403)
        if headers.get(b"sec-fetch-site", "same-origin") in ("cross-site", "same-site") and (
            scope["method"] != "GET" or headers.get(b"sec-fetch-mode") != "navigate"
        ):
            return PlainTextResponse("Another page asks for this.", 403)
        first = scope["path"].split("/", 2)[1] if scope["path"].startswith("/") else ""
        if not secrets.compare_digest(f"/{first}".encode(), self._prefix.encode()):
            return PlainTextResponse("Not found. The address that xlabel review printed holds a token.", 404)
        return None


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
