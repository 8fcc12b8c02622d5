"""`kovocab curate`: the page's server, for this machine's browser alone, from the page itself, with its token.

The token stands behind the `#` of the address, which no browser sends to anybody; the page sends it back in a header,
which no other page can without being asked for leave, and none is given. There is no cookie: those of 127.0.0.1 go to
whatever port is asked, and so to other people's servers. The shell of the page is for everybody who asks here by this
address; what it shows is behind the token.
"""

import asyncio
import os
import secrets
import socket
import sys
import threading
import webbrowser
from collections.abc import Awaitable, Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from secrets import compare_digest
from types import FrameType
from typing import Any

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kovocab.curating.session import Session
from kovocab.errors import KovocabError, UsageError, whole
from kovocab.machine.stopping import Stopped, exit_code, tell

HERE = Path(__file__).parent
SHELL = {"/": "page.html"} | {f"/{path.name}": path.name for path in HERE.iterdir() if path.suffix in (".js", ".css")}
TABLE = {"/tabulator.js": "js/tabulator.min.js", "/tabulator.css": "css/tabulator_simple.min.css"}

_spec = find_spec("js_lib_tabulator")  # for Django, which it is not asked to load
if _spec is None or _spec.origin is None:
    raise ModuleNotFoundError("No module named 'js_lib_tabulator'", name="js_lib_tabulator")
TABULATOR = Path(_spec.origin).parent / "static/tabulator"

Answer = Callable[[Any], Awaitable[Any]]
"""What is answered to what was asked: a query, or what was posted."""

HOST = "127.0.0.1"
TOKEN = "x-kovocab-token"

SENT = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}
"""What goes with every answer: nothing is loaded from elsewhere, framed or kept."""


class Guard:
    """Round the application: refuses a request, or lets it in and says with the answer what a browser may do."""

    def __init__(self, app: ASGIApp, port: int, token: str) -> None:
        self.app, self.host, self.token = app, f"{HOST}:{port}", token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(SENT)
            await send(message)

        if why := self.refused(Headers(scope=scope), scope["path"]):
            await JSONResponse({"error": why}, 403)(scope, receive, sending)
        else:
            await self.app(scope, receive, sending)

    def refused(self, headers: Headers, path: str) -> str | None:
        """Why a request is not let in; None of one that is."""
        if headers.getlist("host") != [self.host]:  # a name that somebody pointed to this address
            return f"this is no page of that host; wanted {self.host}"
        if headers.get("origin", f"http://{self.host}") != f"http://{self.host}":
            return "another page asked; wanted this one"
        if headers.get("sec-fetch-site", "none") not in ("same-origin", "none") and path.startswith("/api/"):
            return "another page asked; wanted this one"
        if path.startswith("/api/") and not compare_digest(headers.get(TOKEN, "").encode(), self.token.encode()):
            return "the token is not of this server; wanted the address that kovocab printed"
        return None


def application(session: Session, port: int, token: str) -> ASGIApp:
    """The routes, behind the guard."""
    files = {path: HERE / name for path, name in SHELL.items()}
    files |= {path: TABULATOR / name for path, name in TABLE.items()}
    quick, long = partial(partial, asyncio.to_thread), partial(partial, session.with_words)
    gets: dict[str, Answer] = {name: partial(session.once, name) for name in ("prices", "kinds", "sources_and_flags")}
    gets |= {"rows": quick(session.begin), "decisions": quick(session.decisions), "changes": session.changes}
    gets |= {"sentences": quick(session.sentences), "sums": long(session.sums), "curve": session.curve}
    posts: dict[str, Answer] = {"decide": quick(session.decide), "refine": long(session.refine)}
    posts |= {"accept": long(session.accept)}
    routes = [Route(path, partial(_file, file)) for path, file in files.items()]
    routes += [Route(f"/api/{name}", partial(_asked, answer), methods=["GET"]) for name, answer in gets.items()]
    routes += [Route(f"/api/{name}", partial(_asked, answer), methods=["POST"]) for name, answer in posts.items()]
    refusals = {KovocabError: _refusal, OSError: _refusal}
    return Guard(Starlette(routes=routes, exception_handlers=refusals), port, token)


class _Server(uvicorn.Server):  # type: ignore[misc]  # Any, as its stubs are not followed
    """One that knows which signal asked it to end."""

    heard: int | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.heard = sig
        super().handle_exit(sig, frame)


def serve(session: Session, port: int, *, open_: bool) -> None:
    """Print the address and serve until stopped.

    Args:
        session: What is served.
        port: 0: any that is free.
        open_: Whether the machine's browser is told to show it.

    Raises:
        UsageError: the port is taken, or none.
    """
    whole("port", port, 0, 65_535)
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((HOST, port))
        except OSError as error:
            raise UsageError(f"port is {port}, which cannot be had: {error}; wanted another, or 0") from error
        listening.listen()
        port, token = listening.getsockname()[1], secrets.token_urlsafe(24)
        address = f"http://{HOST}:{port}/#{token}"
        app = application(session, port, token)
        server = _Server(
            uvicorn.Config(
                app, log_level="warning", access_log=False, lifespan="off", server_header=False,
                timeout_graceful_shutdown=1,
            )
        )  # fmt: skip
        session.work.closing = lambda: server.should_exit
        print(f"{session.decided.path}\n{address}", flush=True)
        # While the browser is on its way. No daemon: Python ends those wherever they are, in the engine too.
        threading.Thread(target=lambda: session.rows).start()
        if open_:
            threading.Thread(target=webbrowser.open, args=[address], daemon=True).start()
        try:
            server.run(sockets=[listening])
            if server.heard is not None:  # which uvicorn asks again at its end, and what it ends may drop
                raise Stopped(server.heard)
        except KeyboardInterrupt as stopped:
            session.close()
            if session.work.goes_on:  # in the engine, where a thread hears of no end, and Python would wait for it
                tell("kovocab curate: stopped")
                sys.stdout.flush()
                os._exit(exit_code(stopped))
            raise
        finally:
            session.close()


async def _file(file: Path, _: Request) -> Response:
    return FileResponse(file)


async def _asked(answer: Answer, request: Request) -> Response:
    """Answer from the query or from what was posted."""
    try:
        asked = msgspec.json.decode(await request.body()) if request.method == "POST" else dict(request.query_params)
        return _json(await answer(asked))
    except (RecursionError, msgspec.MsgspecError) as error:
        raise UsageError(f"the page asked what nobody understands: {error}") from error


def _json(value: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")


async def _refusal(_: Request, error: Exception) -> Response:
    """One line: of the user's own 400, of the system's 503, after which the page tries again."""
    line = " ".join(str(error).split())
    return _json({"error": line}, 400 if isinstance(error, KovocabError) else 503)
