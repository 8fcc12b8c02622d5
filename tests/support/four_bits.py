"""Layers in 4 bits: what they need, and the smallest model that has them."""

from importlib.util import find_spec

import pytest

from kovocab.model.qlora import PACKAGES

installed = pytest.mark.skipif(
    any(find_spec(name) is None for name in PACKAGES), reason="needs pip install 'kovocab[qlora]'"
)
TINY = {"hidden_size": 64, "intermediate_size": 128}
"""Sizes of a model: blocks of 64 weights have a scale each."""
