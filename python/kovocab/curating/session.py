"""What the pages of one server share: a curation, a file of decisions, and the work that they wait for.

What takes long (prices, what a pass over the corpus says, the curve, refine) is asked for by itself, so that the page
is there before. A page asks for nothing that may take hours, either, since a browser has but six requests at a time for
all of its tabs: it hears of what is done with what was decided. What is decided is in the file, and nowhere else.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec
import polars as pl

from kovocab.curating.curation import Curation
from kovocab.curating.decided import Decided
from kovocab.curating.work import LOOK, Work
from kovocab.errors import UsageError
from kovocab.refining.refined import Refined

WAIT = 10.0
"""Seconds that a page waits for news before it asks again."""

ONCE: dict[str, tuple[str, Callable[[Curation], pl.DataFrame | None]]] = {
    "prices": ("words", lambda curation: curation.choices.prices().to_frame()),
    "curve": ("words", lambda curation: curation.choices.curve()),
    "sources_and_flags": ("corpus", lambda curation: curation.sources_and_flags()),
    "kinds": ("tokens", lambda curation: curation.kinds()),
}
"""What is worked out once for all pages: its lane, and the table that it gives."""

_Asked = TypeVar("_Asked")


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
        work: What goes on.
    """

    def __init__(self, curation: Curation, decided: Decided, language: str | None, tokenizer: Path) -> None:
        self.curation, self.decided, self.language, self.tokenizer = curation, decided, language, tokenizer
        self.work = Work({lane for lane, _ in ONCE.values()})
        self._numbers: dict[str, int] = {}
        self._deciding, self._writing = threading.Lock(), threading.Lock()
        self._refined: tuple[int, Refined | None] = 0, None

    @cached_property
    def rows(self) -> msgspec.Raw:
        """The curation's rows by column, as JSON: it is some MB, and the same for every page."""
        return _columns(self.curation.rows)

    def begin(self, _: Any) -> dict[str, Any]:
        """All that the page needs to be there: rows by column, decisions, settings, sums."""
        curation = self.curation
        return {
            "rows": self.rows,
            "settings": asdict(curation.settings),
            "now": asdict(curation.choices.now),
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
        """The columns of a table of `ONCE`; as long as they are not worked out, that they are waited for."""
        piece = self._once(name)
        return piece.result() if piece.done() else {"waits": True}

    async def curve(self, _: Any) -> Any:
        """What each of some thresholds would leave; it is waited for."""
        return await self.work.result(self._once("curve"))

    def sentences(self, asked: Any) -> list[dict[str, Any]]:
        """Where a row's token stands in the corpus."""
        return [asdict(sentence) for sentence in self.curation.sentences(_read(asked, Row).row)]

    def sums(self, _: Any) -> dict[str, Any]:
        """What the decisions of now come to."""
        rows = {side: self._rows(side) for side in ("drop", "keep")}
        return asdict(self.curation.choices.sums(**rows))

    def refine(self, asked: Any) -> dict[str, Any]:
        """Refine with the decisions of now and the sliders' settings."""
        settings = replace(self.curation.settings, **msgspec.to_builtins(_read(asked, Again).settings))
        self.decided.look()
        refined, difference = self.curation.choices.refine(self.decided.decisions(), settings)
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

    async def with_words(self, answer: Callable[[Any], Any], asked: Any) -> Any:
        """An answer, once it is its turn among the work with the word counts."""
        return await self.work.result(self.work.begin("words", lambda: answer(asked)))

    def close(self) -> None:
        """Have all work that goes on end soon, and no other begin; what is being written is whole then."""
        self.curation.close()
        self.work.close()
        with self._writing:
            pass

    async def changes(self, asked: Any) -> dict[str, Any]:
        """What was decided since a version, by whatever page or server, and what work is done; waits for news."""
        have, clock = _read(asked, Since), asyncio.get_running_loop().time
        end = clock() + WAIT
        while True:
            version = await asyncio.to_thread(self.decided.look)
            done = self.work.done
            if version != have.since or len(done) > have.known or self.work.closing() or clock() > end:
                return {"changes": self.decided.changes[have.since : version], "version": version, "done": done}
            await asyncio.sleep(LOOK)

    def _once(self, name: str) -> Future[msgspec.Raw]:
        lane, table = ONCE[name]
        return self.work.once(name, lane, lambda: _columns(table(self.curation)))

    def _rows(self, side: str) -> list[int]:
        tokens = [token for token, said in self.decided.by_token.items() if said == side]
        rows = self.curation.rows
        found: list[int] = rows["row"].filter(rows["token"].is_in(tokens)).to_list()
        return found


def _columns(table: pl.DataFrame | None) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(None if table is None else table.to_dict(as_series=False)))


def _read(asked: Any, wanted: type[_Asked]) -> _Asked:
    return msgspec.convert(asked, wanted, strict=False)
