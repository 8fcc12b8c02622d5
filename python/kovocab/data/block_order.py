"""Which block comes when: a function of (weights, sizes, seed) alone. No torch here.

Nothing of the order is stored: a rank and a resumed run each compute the part of it that they need.
"""

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from kovocab.data.bijection import Bijection

ORDER = "bijections, stage by stage"
"""Names the order of blocks: a run that was begun with another does not go on with this one."""

Numbers = npt.NDArray[np.int64]
Address = tuple[int, int]
"""A block: (number of the source, number of the block in it)."""

SCHEDULE_AT_ONCE = 4096
"""Positions scheduled in one go; the whole schedule of 50 M blocks would take 7 s and 450 MB."""


class Schedule:
    """Which source serves each position, by weight alone.

    The k-th block of a source of weight w (of a sum of 1) stands at (k + 0.5) / w, and blocks are served in
    that order: every prefix holds each share to about one block, where n random choices are off by about √n.

    Args:
        weights: One number above 0 a source; scaled to a sum of 1.
    """

    def __init__(self, weights: list[float]) -> None:
        self.weights = np.asarray(weights, dtype=np.float64) / sum(weights)

    def positions(self, start: int, stop: int) -> tuple[Numbers, Numbers]:
        """The source of each position of [start, stop), and its k, which counts that source's blocks from 0."""
        sources, ks, before = self._around(start, stop)
        return sources[start - before : stop - before], ks[start - before : stop - before]

    def served(self, position: int) -> list[int]:
        """How many blocks of each source stand before `position`."""
        sources, ks, before = self._around(position, position)
        firsts = [int(ks[sources == source].min()) for source in range(len(self.weights))]
        between = np.bincount(sources[: position - before], minlength=len(firsts))
        return [first + int(more) for first, more in zip(firsts, between, strict=True)]

    def _around(self, start: int, stop: int) -> tuple[Numbers, Numbers, int]:
        """Sources and ks in the order of a stretch that holds [start, stop), and how many positions are before it."""
        # At time t a source has served w*t blocks to within one half, so t is the position to within n/2.
        n = len(self.weights)
        early, late = max(0, start - n), stop + n
        keys, sources, ks, before = [], [], [], 0
        for source, weight in enumerate(self.weights):
            k = np.arange(int(weight * early), int(weight * late) + 2)
            key = (k + 0.5) / weight
            first = int(np.searchsorted(key, early))
            before += int(k[0]) + first
            keys.append(key[first:])
            ks.append(k[first:])
            sources.append(np.full(len(k) - first, source))
        order = np.argsort(np.concatenate(keys), kind="stable")
        return np.concatenate(sources)[order], np.concatenate(ks)[order], before


class TrainOrder:
    """The endless, global order of training blocks: weighted, each source reshuffled each time it is used up.

    Any part of it is computed by itself, in memory for `SCHEDULE_AT_ONCE` positions, however many blocks there are.

    Args:
        sizes: Blocks of each source.
        weights: Its share, see `Schedule`.
        names: Its name, so that adding a source does not reshuffle the others.
        seed: Another seed, another order.
    """

    def __init__(self, sizes: list[int], weights: list[float], names: list[str], seed: int) -> None:
        self._sizes, self._names, self._seed = sizes, names, seed
        self._schedule = Schedule(weights)

    def __call__(self, start: int, stop: int) -> Iterator[Address]:
        """The blocks at positions [start, stop)."""
        for begin in range(start, stop, SCHEDULE_AT_ONCE):
            sources, ks = self._schedule.positions(begin, min(stop, begin + SCHEDULE_AT_ONCE))
            blocks = np.empty_like(ks)
            for source, size in enumerate(self._sizes):
                at = np.flatnonzero(sources == source)
                epochs, indices = np.divmod(ks[at], size)
                for part in np.split(np.arange(len(at)), np.flatnonzero(np.diff(epochs)) + 1):
                    if len(part):
                        blocks[at[part]] = self._shuffle(source, int(epochs[part[0]]))(indices[part])
            yield from zip(sources.tolist(), blocks.tolist(), strict=True)

    def served(self, start: int, stop: int) -> list[int]:
        """How many blocks of each source stand at positions [start, stop)."""
        before, behind = self._schedule.served(start), self._schedule.served(stop)
        return [last - first for first, last in zip(before, behind, strict=True)]

    def _shuffle(self, source: int, epoch: int) -> Bijection:
        return Bijection(self._sizes[source], f"{self._seed} {epoch} {self._names[source]}")


class HeldOutOrder:
    """Each held-out block once, the sources interleaved evenly, so that a limited validation sees them all.

    Args:
        sizes: Blocks of each source.
        world: Ranks. The order is carried on from its start until they all have as much: FSDP needs that.
    """

    def __init__(self, sizes: list[int], world: int) -> None:
        self._total = sum(sizes)
        self._schedule = Schedule([float(size) for size in sizes])
        self.blocks = math.ceil(self._total / world) * world

    def __call__(self, start: int, stop: int) -> Iterator[Address]:
        """The blocks at positions [start, stop)."""
        while start < stop:
            at = start % self._total
            count = min(stop - start, self._total - at, SCHEDULE_AT_ONCE)
            sources, blocks = self._schedule.positions(at, at + count)
            yield from zip(sources.tolist(), blocks.tolist(), strict=True)
            start += count
