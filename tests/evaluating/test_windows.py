"""Windows: each token of a document is scored once, with as much before it as is promised."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kovocab.errors import UsageError
from kovocab.evaluating.windows import CONTEXT, check_context, grouped, windows


@given(start=st.integers(1, 3), tokens=st.integers(0, 60), context=st.integers(4, 20), data=st.data())
def test_each_token_is_scored_once_with_enough_before_it(start, tokens, context, data):
    stride = data.draw(st.integers(1, context + 1 - start))
    found = list(windows(0, start, tokens, context, stride))
    scored = []
    for window in found:
        targets = range(window.end - window.scored + 1, window.end + 1)
        scored += [(target, target - window.begin) for target in targets]
    assert [target for target, _ in scored] == list(range(start, start + tokens))
    assert all(window.length <= context for window in found)
    first = found[0].scored if found else 0
    assert all(before == target for target, before in scored[:first])
    assert all(before >= context - stride + 1 for _, before in scored[first:])


def test_with_a_stride_of_the_context_they_are_lm_evals():
    """By hand: 10 tokens behind one start, 4 at a time; the last window is filled up from the left."""
    found = [(w.begin, w.end, w.scored) for w in windows(0, 1, 10, 4, 4)]
    assert found == [(0, 4, 4), (4, 8, 4), (6, 10, 2)]


def test_the_context_is_what_the_model_reads_and_no_more_than_is_said():
    assert check_context(None, None, 1, 64) == (64, 32)
    assert check_context(None, None, 1, 1 << 17) == (CONTEXT, CONTEXT // 2)
    assert check_context(None, None, 1, None) == (CONTEXT, CONTEXT // 2)
    assert check_context(10, 10, 1, 64) == (10, 10)
    with pytest.raises(UsageError, match="context is 65, and the model reads 64"):
        check_context(65, None, 1, 64)
    with pytest.raises(UsageError, match="context is 1; wanted at least 2"):
        check_context(1, None, 1, 64)
    with pytest.raises(UsageError, match="stride is 11 and context 10; wanted 1 to 10"):
        check_context(10, 11, 1, 64)


def test_windows_of_one_length_are_read_together():
    found = [*windows(0, 1, 3, 8, 4), *windows(1, 1, 20, 8, 4), *windows(2, 1, 8, 8, 4)]
    groups = grouped(found, 16)
    assert sorted((w.document, w.begin) for group in groups for w in group) == sorted(
        (w.document, w.begin) for w in found
    )
    assert all(len(group) * max(w.length for w in group) <= 16 for group in groups)
    assert [len(group) for group in grouped(found, 1)] == [1] * len(found)
