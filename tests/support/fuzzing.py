"""What fuzzing a reader shares: texts, how many inputs, and reading with what is skipped."""

import os
import unicodedata
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from kovocab.corpus.faults import Fault
from kovocab.reading.formats import read_file

FUZZ = int(os.environ.get("KOVOCAB_FUZZ", "20"))  # inputs of each kind
fuzzed = settings(max_examples=FUZZ, deadline=None, suppress_health_check=list(HealthCheck))
hangul = st.one_of(
    st.text(),
    st.text(st.characters(min_codepoint=0x1100, max_codepoint=0x11FF)),  # jamo
    st.text(st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3)).map(lambda t: unicodedata.normalize("NFD", t)),
    st.sampled_from(
        [
            "👩‍👩‍👧",
            "\u200d",
            "e\u0301",
            '"',
            "\\",
            "\\u0041",
            "\ufeff",
            "\x00",
            "\u2028",
            "\x85",
            "\x0c",
            "\t",
            ",",
        ]
    ),
)

WRONG = [
    b"", b" \t", b"null", b"[]", b'"text"', b"5", b"{}", b'{"text": null}', b'{"text": 5}', b'{"text": ["a"]}',
    b'{"text": "a"', b'{"text": "a"}}', b'{"text": "a", "text": "b"}', b'{"text": null, "text": "b"}', b"{'text': 1}",
    b'{"text": "\\ud800"}', b'{"text": "\\u0000"}', b'{"text": "a", "x": NaN}', b'{"text": "\xff"}', b"\xff",
    b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\x00", b"\x0b", b"\r", b"\r\r", b"x\x01", b"x^2", b"\x1f\x8b",
    b"\x28\xb5\x2f\xfd", b'{"text": "a", "x": 1e999, "y": 123456789012345678901234567890}',
]  # fmt: skip
"""Lines that hold no document with a text, or that readers disagree on."""


def skipping(path: Path, start: int = 0) -> tuple[list[str], list[Fault]]:
    faults: list[Fault] = []
    return [text for part in read_file(path, start=start, skip=faults.append) for text in part], faults


def in_tabs(texts: list[str]) -> list[str]:
    """Texts as a `.tsv` can hold them in quotes: no line of several is to be taken for a record."""
    return [text.replace("\t", " ") if "\n" in text else text for text in texts]
