"""`kovocab curate`: the page's server, on this machine alone. It holds a curation and a file of decisions, and no more.

What takes long (prices, what a pass over the corpus says, the curve, refine) is asked for by itself, so that the page
is there before, and is done in threads of its own: however many pages wait for it, none of those that save decisions
does. A page asks for nothing that may take hours, either, since a browser has but six requests at a time for all of
its tabs: it hears of what is done with what was decided. What is decided is in the file, and nowhere else.
"""

import asyncio
import os
import secrets
import socket
import sys
import threading
import webbrowser
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, replace
from functools import cached_property, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

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
from kovocab.machine.stopping import exit_code, tell
from kovocab.refining.refined import Refined

HERE = Path(__file__).parent
SHELL = {"/": "page.html"} | {f"/{path.name}": path.name for path in HERE.iterdir() if path.suffix in (".js", ".css")}
TABLE = {"/tabulator.js": "js/tabulator.min.js", "/tabulator.css": "css/tabulator_simple.min.css"}

_spec = find_spec("js_lib_tabulator")  # for Django, which it is not asked to load
if _spec is None or _spec.origin is None:
    raise ModuleNotFoundError("No module named 'js_lib_tabulator'", name="js_lib_tabulator")
TABULATOR = Path(_spec.origin).parent / "static/tabulator"

Answer = Callable[[Any], Awaitable[Any]]
"""What is answered to what was asked: a query, or what was posted."""
_Asked = TypeVar("_Asked")

LOOK = 0.2
"""Seconds between two looks whether somebody decided something."""
WAIT = 10.0
"""Seconds that a page waits for news before it asks again."""


class Batch(msgspec.Struct):
    """What one key decided."""

    number: int
    decisions: list[tuple[Annotated[str, msgspec.Meta(min_length=1)], Literal["keep", "drop"] | None]]


class Posted(msgspec.Struct):
    """What a page, by the name that it gave itself, has not heard to be saved."""

    client: str
    batches: list[Batch]


class Since(msgspec.Struct):
    """What a page has: the version of its decisions, and how many pieces of work it knows to be done."""

    since: int
    known: int = 0


class Row(msgspec.Struct):
    """Which row a page asks about."""

    row: int


class Sliders(msgspec.Struct, forbid_unknown_fields=True):
    """What to refine again with; what is not said stays."""

    min_count: int | msgspec.UnsetType = msgspec.UNSET
    min_syllable_count: int | msgspec.UnsetType = msgspec.UNSET
    max_new_tokens: int | msgspec.UnsetType | None = msgspec.UNSET


class Again(msgspec.Struct):
    """To refine again."""

    settings: Sliders


class Accepted(msgspec.Struct):
    """Which refine's, by the number that was given with it, to write, and where."""

    number: int
    folder: Annotated[str, msgspec.Meta(min_length=1, pattern=r"^[^\0]*$")]
    overwrite: bool


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
        # One piece of work at a time: with the word counts, in the corpus, on the tokens alone.
        self._lanes = {name: ThreadPoolExecutor(1) for name in ("words", "corpus", "tokens")}
        self._works: list[Future[Any]] = []  # that were not done a while ago
        self._writing = threading.Lock()
        self._begun: dict[str, Future[msgspec.Raw]] = {}
        self._refined: tuple[int, Refined | None] = 0, None

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

    async def once(self, name: str, _: Any) -> Any:
        """What is worked out once, the columns of a table by name; as long as it is not done, that it is waited for."""
        work = self._work(name)
        return work.result() if work.done() else {"waits": True}

    async def curve(self, _: Any) -> Any:
        """What each of some thresholds would leave; it is waited for."""
        return await self._done(self._work("curve"))

    def sentences(self, asked: Any) -> list[dict[str, Any]]:
        """Where a row's token stands in the corpus."""
        return [asdict(sentence) for sentence in self.curation.sentences(_read(asked, Row).row)]

    def sums(self, _: Any) -> dict[str, Any]:
        """What the decisions of now come to."""
        rows = {side: self._rows(side) for side in ("drop", "keep")}
        return asdict(self.curation.sums(**rows))

    def refine(self, asked: Any) -> dict[str, Any]:
        """Refine with the decisions of now and the sliders' settings."""
        settings = replace(self.curation.settings, **msgspec.to_builtins(_read(asked, Again).settings))
        self.decided.look()
        refined, difference = self.curation.refine(self.decided.decisions(), settings)
        self._refined = self._refined[0] + 1, refined
        return {"number": self._refined[0], **asdict(difference)}

    def accept(self, asked: Any) -> dict[str, Any]:
        """Write what refine gave last, if that is what the page shows."""
        to, (number, refined) = _read(asked, Accepted), self._refined
        if refined is None or to.number != number:
            raise UsageError("another page refined since, or the server began anew; refine again, and look at it")
        try:
            folder = Path(to.folder).expanduser().absolute()
        except RuntimeError as error:  # ~somebody
            raise UsageError(f"folder is {to.folder}: {error}; wanted where to write") from error
        with self._writing:
            record = refined.save(folder, overwrite=to.overwrite)
        return {"folder": str(folder), "tokens": record["new_tokens"]}

    async def with_words(self, work: Callable[[Any], Any], asked: Any) -> Any:
        """Some work's answer, once it is its turn among the work with the word counts."""
        return await self._done(self._submit("words", work, asked))

    def close(self) -> None:
        """Have all work that goes on end soon, and no other begin; what is being written is whole then."""
        self.curation.close()
        for lane in self._lanes.values():
            lane.shutdown(wait=False, cancel_futures=True)
        with self._writing:
            pass

    @property
    def at_work(self) -> bool:
        """Whether work goes on."""
        return any(not work.done() for work in self._works)

    async def changes(self, asked: Any) -> dict[str, Any]:
        """What was decided since a version, by whatever page or server, and what work is done; waits for news."""
        have, clock = _read(asked, Since), asyncio.get_running_loop().time
        end = clock() + WAIT
        while True:
            version = await asyncio.to_thread(self.decided.look)
            done = [name for name, work in self._begun.items() if work.done()]
            if version != have.since or len(done) > have.known or self.closing() or clock() > end:
                return {"changes": self.decided.changes[have.since : version], "version": version, "done": done}
            await asyncio.sleep(LOOK)

    def _work(self, name: str) -> Future[msgspec.Raw]:
        """A piece of work that is done once, by the name of the curation's method; begun now if it was not."""
        if name not in self._begun:
            lane = {"sources_and_flags": "corpus", "kinds": "tokens"}.get(name, "words")
            self._begun[name] = self._submit(lane, self._columns, name)
        return self._begun[name]

    def _submit(self, lane: str, work: Callable[[Any], Any], asked: Any) -> Future[Any]:
        self._works = [one for one in self._works if not one.done()]
        self._works.append(self._lanes[lane].submit(work, asked))
        return self._works[-1]

    async def _done(self, work: Future[Any]) -> Any:
        waited = asyncio.wrap_future(work)
        while not waited.done():
            if self.closing():
                raise OSError("the server ends")
            await asyncio.wait([waited], timeout=LOOK)
        return waited.result()

    def _columns(self, name: str) -> msgspec.Raw:
        found = getattr(self.curation, name)()
        table = found.to_frame() if name == "prices" else found
        return msgspec.Raw(msgspec.json.encode(None if table is None else table.to_dict(as_series=False)))

    def _rows(self, side: str) -> list[int]:
        tokens = [token for token, said in self.decided.by_token.items() if said == side]
        rows = self.curation.rows
        found: list[int] = rows["row"].filter(rows["token"].is_in(tokens)).to_list()
        return found


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
        except KeyboardInterrupt as stopped:
            session.close()
            if session.at_work:  # in the engine, where a thread hears of no end, and Python would wait for it
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


def _read(asked: Any, wanted: type[_Asked]) -> _Asked:
    return msgspec.convert(asked, wanted, strict=False)


def _json(value: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")


async def _refusal(_: Request, error: Exception) -> Response:
    """One line: of the user's own 400, of the system's 503, after which the page tries again."""
    line = " ".join(str(error).split())
    return _json({"error": line}, 400 if isinstance(error, KovocabError) else 503)
