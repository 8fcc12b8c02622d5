"""The target: the base with new tokens appended, less those that go; and the new ones at their ids."""

from collections.abc import Sequence
from dataclasses import replace

from kovocab.tokenizer.sentencepiece_model import read_model
from kovocab.tokenizer.tokenizer_json import BpeModel, TokenizerJson


def new_ids(appended: TokenizerJson, gone: Sequence[int]) -> dict[int, int]:
    """The id that each appended token takes: the lowest that is free, in order."""
    first = appended.size - len(gone)
    return dict(zip(range(first, appended.size), sorted(gone), strict=True))


def exchange(appended: TokenizerJson, gone: Sequence[int]) -> TokenizerJson:
    """Put appended tokens at the ids of those that go, and take away every merge that these have a part in.

    Args:
        appended: The base with as many tokens appended as go.
        gone: The ids of base tokens that nothing which stays is made of.

    Returns:
        A tokenizer of the base's size, whose merges are in the order of `appended`'s.
    """
    model = appended.model
    assert isinstance(model, BpeModel)
    moved, out = new_ids(appended, gone), {appended.tokens[i] for i in gone}
    ids = {token: moved.get(i, i) for token, i in model.vocab.items() if token not in out}
    vocab = dict(sorted(ids.items(), key=lambda item: item[1]))
    merges = [(left, right) for left, right in model.merges if out.isdisjoint((left, right, left + right))]
    return replace(appended, model=replace(model, vocab=vocab, merges=merges))


def exchange_model(appended_model: bytes, appended: TokenizerJson, gone: Sequence[int]) -> bytes:
    """The same in a `tokenizer.model`: pieces keep their scores, and so the order in which they merge.

    Args:
        appended_model: The bytes of the one of `appended`.
        appended: As for `exchange`.
        gone: As for `exchange`.

    Returns:
        The bytes of the target's, the same every time.
    """
    proto = read_model(appended_model, "the appended tokenizer.model")
    first = appended.size - len(gone)
    for new, old in new_ids(appended, gone).items():
        proto.pieces[old].CopyFrom(proto.pieces[new])
    del proto.pieces[first:]
    proto.trainer_spec.vocab_size = len(proto.pieces)
    target: bytes = proto.SerializeToString(deterministic=True)
    return target
