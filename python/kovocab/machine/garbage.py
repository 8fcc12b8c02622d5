"""How often Python looks for objects that only hold each other."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_MORE = 100_000  # objects; the default of Python, 700 or 2,000, is for programs that make few


@contextmanager
def seldom_collected() -> Iterator[None]:
    """Inside, Python looks for such objects once in 100,000 new ones.

    A tokenizer is read into texts and tuples by the 100,000, none of which holds itself, and each look goes through
    what it is given of them: of `kovocab refine` it took an eighth.
    """
    before = gc.get_threshold()
    gc.set_threshold(_MORE, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
