"""`kovocab curate`: the page's server, on this machine alone. It holds a curation and a file of decisions, and no more.

What takes long (prices, what a pass over the corpus says, the curve, refine) is asked for by itself, so that the page
is there before. What is decided is in the file, and nowhere else: each open page asks what came since.
"""

import asyncio
import secrets
import socket
import threading
import webbrowser
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import cached_property, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from kovocab.curating.curation import Curation
from kovocab.curating.decided import Decided
from kovocab.curating.guard import HOST, Guard
from kovocab.errors import KovocabError, UsageError

HERE = Path(__file__).parent
SHELL = {"/": "page.html"} | {f"/{path.name}": path.name for path in HERE.iterdir() if path.suffix in (".js", ".css")}
TABLE = {"/tabulator.js": "js/tabulator.min.js", "/tabulator.css": "css/tabulator_simple.min.css"}

_spec = find_spec("js_lib_tabulator")  # for Django, which it is not asked to load
if _spec is None or _spec.origin is None:
    raise ModuleNotFoundError("No module named 'js_lib_tabulator'", name="js_lib_tabulator")
TABULATOR = Path(_spec.origin).parent / "static/tabulator"

LOOK = 0.2
"""Seconds between two looks whether somebody decided something."""
WAIT = 10.0
"""Seconds that a page waits for news before it asks again."""


class Batch(msgspec.Struct):
    """What one key decided."""

    number: int
    decisions: list[tuple[str, Literal["keep", "drop"] | None]]


class Posted(msgspec.Struct):
    """What a page, by the name that it gave itself, has not heard to be saved."""

    client: str
    batches: list[Batch]


class Session:
    """What the pages of one server share.

    Attributes:
        closing: Whether the server is about to end, so that nobody waits any longer.
    """

    def __init__(self, curation: Curation, decided: Decided, language: str | None, tokenizer: Path) -> None:
        self.curation, self.decided, self.language, self.tokenizer = curation, decided, language, tokenizer
        self.closing: Callable[[], bool] = lambda: False
        self._numbers: dict[str, int] = {}
        self._deciding = threading.Lock()
        self._working = threading.Lock()  # with the word counts, one piece of work at a time
        self._reading = threading.Lock()  # the corpus
        self._analysing = threading.Lock()
        self._once: dict[str, Any] = {}
        self._refined: Any = None

    @cached_property
    def rows(self) -> msgspec.Raw:
        """The curation's rows by column, as JSON: it is some MB, and the same for every page."""
        return msgspec.Raw(msgspec.json.encode(self.curation.rows.to_dict(as_series=False)))

    def begin(self, _: Any) -> dict[str, Any]:
        """All that the page needs to be there: rows by column, decisions, settings, sums."""
        curation = self.curation
        return {
            "rows": self.rows,
            "settings": asdict(curation.settings),
            "now": asdict(curation.now),
            "language": self.language,
            "tokenizer": str(self.tokenizer),
            "file": str(self.decided.path),
            **self.decisions(_),
        }

    def decisions(self, _: Any) -> dict[str, Any]:
        """All decisions, and the version that they are of."""
        version = self.decided.look()
        return {"decided": self.decided.by_token, "version": version}

    def decide(self, asked: Any) -> dict[str, Any]:
        """Append a page's batches, in the order of their numbers; one that is sent again counts once."""
        posted = msgspec.convert(asked, Posted)
        with self._deciding:
            last = self._numbers.get(posted.client, 0)
            new = [batch for batch in posted.batches if batch.number > last]
            version = self.decided.decide(change for batch in new for change in batch.decisions)
            if new:
                self._numbers[posted.client] = last = new[-1].number
            return {"version": version, "number": last}

    def once(self, name: str, _: Any) -> Any:
        """What is worked out once: the columns of a table, by name."""
        with {"sources_and_flags": self._reading, "kinds": self._analysing}.get(name, self._working):
            if name not in self._once:
                found = getattr(self.curation, name)()
                self._once[name] = None if found is None else found.to_frame() if name == "prices" else found
            found = self._once[name]
        return None if found is None else found.to_dict(as_series=False)

    def sentences(self, asked: Any) -> list[dict[str, Any]]:
        """Where a row's token stands in the corpus."""
        return [asdict(sentence) for sentence in self.curation.sentences(int(asked["row"]))]

    def sums(self, _: Any) -> dict[str, Any]:
        """What the decisions of now come to."""
        with self._working:
            rows = {side: self._rows(side) for side in ("drop", "keep")}
            return asdict(self.curation.sums(**rows))

    def refine(self, asked: Any) -> dict[str, Any]:
        """Refine with the decisions of now and the sliders' settings."""
        with self._working:
            settings = replace(self.curation.settings, **asked["settings"])
            self.decided.look()
            refined, difference = self.curation.refine(self.decided.decisions(), settings)
            self._refined = refined
            return asdict(difference)

    def accept(self, asked: Any) -> dict[str, Any]:
        """Write what refine gave last."""
        with self._working:
            if self._refined is None:
                raise UsageError("nothing was refined yet; wanted that before it is written")
            folder = Path(asked["folder"]).expanduser().absolute()
            record = self._refined.save(folder, overwrite=bool(asked["overwrite"]))
            return {"folder": str(folder), "tokens": record["new_tokens"]}

    async def changes(self, request: Request) -> Response:
        """What was decided since a version, by whatever page or server; waits for it a while."""
        since, end = int(request.query_params["since"]), asyncio.get_running_loop().time() + WAIT
        while True:
            version = await asyncio.to_thread(self.decided.look)
            if version != since or self.closing() or asyncio.get_running_loop().time() > end:
                return _json({"changes": self.decided.changes[since:version], "version": version})
            await asyncio.sleep(LOOK)

    def _rows(self, side: str) -> list[int]:
        tokens = [token for token, said in self.decided.by_token.items() if said == side]
        rows = self.curation.rows
        found: list[int] = rows["row"].filter(rows["token"].is_in(tokens)).to_list()
        return found


def application(session: Session, port: int, token: str) -> ASGIApp:
    """The routes, behind the guard."""
    files = {path: HERE / name for path, name in SHELL.items()}
    files |= {path: TABULATOR / name for path, name in TABLE.items()}
    gets = {"rows": session.begin, "decisions": session.decisions, "sentences": session.sentences, "sums": session.sums}
    gets |= {name: partial(session.once, name) for name in ("prices", "kinds", "sources_and_flags", "curve")}
    posts = {"decide": session.decide, "refine": session.refine, "accept": session.accept}
    routes = [Route(path, partial(_file, file)) for path, file in files.items()]
    routes += [Route(f"/api/{name}", partial(_asked, answer), methods=["GET"]) for name, answer in gets.items()]
    routes += [Route(f"/api/{name}", partial(_asked, answer), methods=["POST"]) for name, answer in posts.items()]
    routes.append(Route("/api/changes", session.changes))
    refusals = {KovocabError: _refusal, OSError: _refusal}
    return Guard(Starlette(routes=routes, exception_handlers=refusals), port, token)


def serve(session: Session, port: int, *, open_: bool) -> None:
    """Print the address and serve until stopped.

    Args:
        session: What is served.
        port: 0: any that is free.
        open_: Whether the machine's browser is told to show it.

    Raises:
        UsageError: the port is taken.
    """
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((HOST, port))
        except (OSError, OverflowError) as error:
            raise UsageError(f"port is {port}, which cannot be had: {error}; wanted another, or 0") from error
        listening.listen()
        port, token = listening.getsockname()[1], secrets.token_urlsafe(24)
        address = f"http://{HOST}:{port}/#{token}"
        app = application(session, port, token)
        server = uvicorn.Server(
            uvicorn.Config(
                app, log_level="warning", access_log=False, lifespan="off", server_header=False,
                timeout_graceful_shutdown=1,
            )
        )  # fmt: skip
        session.closing = lambda: server.should_exit
        print(f"{session.decided.path}\n{address}", flush=True)
        # While the browser is on its way. No daemon: Python ends those wherever they are, in the engine too.
        threading.Thread(target=lambda: session.rows).start()
        if open_:
            threading.Thread(target=webbrowser.open, args=[address], daemon=True).start()
        try:
            server.run(sockets=[listening])
        finally:
            session.curation.close()


async def _file(file: Path, _: Request) -> Response:
    return FileResponse(file)


async def _asked(answer: Callable[[Any], Any], request: Request) -> Response:
    """Answer in a thread, from the query or from what was posted."""
    try:
        asked = msgspec.json.decode(await request.body()) if request.method == "POST" else request.query_params
        return _json(await asyncio.to_thread(answer, asked))
    except (KeyError, TypeError, msgspec.MsgspecError) as error:
        raise UsageError(f"the page asked what nobody understands: {error!r}") from error


def _json(value: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")


async def _refusal(_: Request, error: Exception) -> Response:
    """One line: of the user's own 400, of the system's 503, after which the page tries again."""
    line = " ".join(str(error).split())
    return _json({"error": line}, 400 if isinstance(error, KovocabError) else 503)
