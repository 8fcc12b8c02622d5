"""Errors: numbers with their nouns."""

import pytest

from kovocab.errors import quantity


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        (quantity(1, "fault"), "1 fault"),
        (quantity(0, "fault"), "0 faults"),
        (quantity(2_000, "fault"), "2,000 faults"),
        (quantity(1, "file is", "files are"), "1 file is"),
        (quantity(3, "file is", "files are"), "3 files are"),
    ],
)
def test_a_number_with_its_noun(said: str, wanted: str) -> None:
    assert said == wanted
