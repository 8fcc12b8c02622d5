"""Spellings: many tokens at a time as each by itself."""

from hypothesis import given
from hypothesis import strategies as st

from kovocab.tokenizer.spelling import BYTES, ByteSpelling, Spelling

SPELLED = st.lists(st.sampled_from([*BYTES, *map(ByteSpelling().spell, "가나안é漢 ▁")]), max_size=8).map("".join)


@given(st.lists(SPELLED, max_size=12))
def test_tokens_are_read_together_as_each_by_itself(tokens: list[str]) -> None:
    spelling = ByteSpelling()
    assert spelling.read_all(tokens) == [*map(spelling.read, tokens)]


@given(st.lists(st.one_of(SPELLED, st.text(st.sampled_from("a ▁\n\xad\u0143\u0144\u0200가"), max_size=4)), max_size=6))
def test_tokens_that_are_not_made_of_bytes_stay_as_they_are(tokens: list[str]) -> None:
    for spelling in (ByteSpelling(), Spelling()):
        assert spelling.read_all(tokens) == [*map(spelling.read, tokens)]
