"""Work that takes long: in lanes, in each of which one piece goes on at a time, in a thread of its own.

However many pages wait for it, nobody who saves a decision does.
"""

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

LOOK = 0.2
"""Seconds between two looks whether the server ends."""


class Work:
    """What goes on, and what was done.

    Args:
        lanes: Their names.

    Attributes:
        closing: Whether the server is about to end, so that nobody waits any longer.
    """

    def __init__(self, lanes: Iterable[str]) -> None:
        self.closing: Callable[[], bool] = lambda: False
        self._lanes = {lane: ThreadPoolExecutor(1) for lane in lanes}
        self._pieces: list[Future[Any]] = []  # that were not done a while ago
        self._begun: dict[str, Future[Any]] = {}

    @property
    def done(self) -> list[str]:
        """What was begun `once` and has ended, well or not."""
        return [name for name, piece in self._begun.items() if piece.done()]

    @property
    def goes_on(self) -> bool:
        """Whether any does."""
        return any(not piece.done() for piece in self._pieces)

    def once(self, name: str, lane: str, do: Callable[[], Any]) -> Future[Any]:
        """A piece of work that is done once, by its name; begun now if it was not."""
        if name not in self._begun:
            self._begun[name] = self.begin(lane, do)
        return self._begun[name]

    def begin(self, lane: str, do: Callable[[], Any]) -> Future[Any]:
        """A piece of work, behind what its lane has to do already."""
        self._pieces = [piece for piece in self._pieces if not piece.done()]
        self._pieces.append(self._lanes[lane].submit(do))
        return self._pieces[-1]

    async def result(self, piece: Future[Any]) -> Any:
        """What comes of it, or what went wrong in it.

        Raises:
            OSError: the server ends before.
        """
        waited = asyncio.wrap_future(piece)
        while not waited.done():
            if self.closing():
                raise OSError("the server ends")
            await asyncio.wait([waited], timeout=LOOK)
        return waited.result()

    def close(self) -> None:
        """Have nothing else begin."""
        for lane in self._lanes.values():
            lane.shutdown(wait=False, cancel_futures=True)
