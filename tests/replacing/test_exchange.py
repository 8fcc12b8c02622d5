"""New tokens at old ids, in either file: what stays merges as before."""

from kovocab.building.target import build_target, build_target_model
from kovocab.replacing.exchange import exchange, exchange_model, new_ids
from kovocab.replacing.order import Leaves, Making
from kovocab.tokenizer.tokenizer_json import TokenizerJson
from support.byte_level import tiny
from support.sentencepiece_base import ROWS, SENTENCES, differing
from support.vocabularies import ids, tokenizer_merges, tokenizer_of, vocabulary

TEXTS = [
    *SENTENCES,
    "The quick brown fox jumps over the lazy dog; 3.14159, Größe, niño.",
    "съешь ещё этих мягких французских булок",
    "def f(x):\n    return x  # 中文漢字 日本語",
]


def most_that_may_go(tokenizer: TokenizerJson, staying: list[int], count: int) -> list[int]:
    """The last leaves of all, by id."""
    leaves, gone = Leaves(Making.of(tokenizer), staying), list[int]()
    while len(gone) < count:
        gone += (some := [i for i in leaves.now if i not in gone][-(count - len(gone)) :])
        leaves.take(some)
    return gone


def test_a_model_file_agrees_on_every_text_where_a_row_of_each_new_token_is_an_old_ones(
    base: TokenizerJson, base_model_file
) -> None:
    appended = build_target(base, ROWS)
    new = appended.size - base.size
    stays = [*range(base.size, appended.size), *range(259), base.ids["안"], base.ids["▁"]]
    gone = most_that_may_go(appended, stays, new)
    target = exchange(appended, gone)
    model = exchange_model(build_target_model(base_model_file.read_bytes(), ROWS), appended, gone)
    assert target.size == base.size
    assert differing(target, model, TEXTS) == []
    moved = new_ids(appended, gone)
    assert sorted(moved.values()) == sorted(gone)
    for text, before, after in zip(TEXTS, ids(appended, TEXTS), ids(target, TEXTS), strict=True):
        if set(gone).isdisjoint(before):
            assert after == [moved.get(i, i) for i in before], text
    assert any(set(moved.values()) & set(after) for after in ids(target, TEXTS))


def test_merges_keep_their_order_and_lose_those_of_what_went() -> None:
    base = tokenizer_of(tiny())
    appended = build_target(base, vocabulary(("늘", None, None), ("나늘", "나", "늘")))
    gone = [base.texts[token] for token in ("▁the", "the", "12", "'s")][: appended.size - base.size]
    target = exchange(appended, gone)
    out = {appended.tokens[i] for i in gone}
    kept = [merge for merge in tokenizer_merges(appended) if out.isdisjoint((*merge, "".join(merge)))]
    assert tokenizer_merges(target) == kept
    assert len(kept) < len(tokenizer_merges(appended))
    assert {*target.ids.values()} == {*base.ids.values()}
    assert target.texts["나늘"] in gone
    assert list(target.model.vocab.values()) == sorted(target.model.vocab.values())


def test_new_ids_are_the_free_ones_in_order() -> None:
    base = tokenizer_of(tiny())
    appended = build_target(base, vocabulary(("ㅋ", None, None), ("ㅋㅋ", "ㅋ", "ㅋ")))
    gone = [base.texts["▁the"], base.texts["12"], base.texts["'s"]][: appended.size - base.size]
    assert list(new_ids(appended, gone).values()) == sorted(gone)
    assert list(new_ids(appended, gone)) == [*range(base.size, appended.size)]
    assert new_ids(appended, gone) == new_ids(appended, gone[::-1])
