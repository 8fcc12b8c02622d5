"""A shuffle that is computed by index: a keyed bijection on the numbers below n, which no memory holds.

A Feistel network over a grid a little larger than n, of about as many rows as columns. A round adds to the row a hash
of the column, the next one to the column a hash of the row; each can be taken back, so together they map the grid onto
itself, one to one. What falls beyond n is mapped again until it does not: n numbers onto n. All is arithmetic of 64-bit
integers with keys from SHAKE-256, so it is the same on every machine and in every version of numpy.
"""

import hashlib
import math

import numpy as np
import numpy.typing as npt

ROUNDS = 12
"""Four suffice where the grid is large (Luby and Rackoff). Of 9 or 10 numbers, eight still prefer some distances
between neighbours by a hundredth; twelve do not, as far as 20,000 keys show."""

MOST = 1 << 62
"""The largest n: rows and columns then have at most 32 bits, and what a hash is scaled by does not run over."""

_FACTORS = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)  # of splitmix64
_SHIFTS = np.uint64(30), np.uint64(27), np.uint64(32)


class Bijection:
    """Maps the numbers below `n` onto themselves, in an order that looks like chance.

    Args:
        n: From 1 to `MOST`.
        key: Another key, another order.
    """

    def __init__(self, n: int, key: str) -> None:
        if not 0 < n <= MOST:
            raise ValueError(f"n is {n}; wanted 1 to {MOST}")
        self._n = n
        self._rows = math.isqrt(n - 1) + 1
        self._columns = -(-n // self._rows)
        digest = hashlib.shake_256(key.encode()).digest(8 * ROUNDS)
        self._keys = np.frombuffer(digest, dtype="<u8").astype(np.uint64)

    def __call__(self, indices: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Where each of `indices`, numbers below n, is mapped to: int64, as many."""
        found = self._once(indices.astype(np.uint64))
        while len(beyond := np.flatnonzero(found >= self._n)):  # of the grid fewer are than it has rows
            found[beyond] = self._once(found[beyond])
        return found.astype(np.int64)

    def _once(self, places: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        """Map places of the grid, counted row by row, onto others."""
        columns = np.uint64(self._columns)
        row, column = np.divmod(places, columns)
        for number in range(0, ROUNDS, 2):
            _turn(row, column, self._keys[number], np.uint64(self._rows))
            _turn(column, row, self._keys[number + 1], columns)
        row *= columns
        row += column
        return row


def _turn(place: npt.NDArray[np.uint64], by: npt.NDArray[np.uint64], key: np.uint64, size: np.uint64) -> None:
    """Add to each place, modulo `size`, a hash of its partner in `by`; in place."""
    mixed = by ^ key
    for factor, shift in zip(_FACTORS, _SHIFTS, strict=False):
        mixed ^= mixed >> shift
        mixed *= factor
    mixed >>= _SHIFTS[2]  # the upper 32 bits, scaled to less than `size`
    mixed *= size
    mixed >>= _SHIFTS[2]
    place += mixed
    np.subtract(place, size, out=place, where=place >= size)
