"""Counting again after each round: to the last id what a tokenizer that is built anew for the round gives."""

from importlib import import_module
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kovocab import RefineSettings, count_tokens, refine
from kovocab.building.byte_level import missing_scaffolds
from kovocab.building.target import build_target
from kovocab.counting.count import count
from kovocab.counting.tables import Held, Tables
from kovocab.counting.word_counts import Counted
from kovocab.errors import TokenizerError
from kovocab.example.text import sample_documents
from kovocab.refining import intermediate
from kovocab.refining import recount as room
from kovocab.refining.candidates import Decisions, Vocabulary
from kovocab.refining.recount import Recount
from kovocab.refining.rounds import Text, TokenCounts
from kovocab.tokenizer.script import Script
from kovocab.tokenizer.tokenizer import load_tokenizer
from kovocab.tokenizer.tokenizer_json import TokenizerJson
from support.byte_level import tiny
from support.vocabularies import changed, tokenizer_merges, tokenizer_of, words_of

LETTERS = "가나무다ㅋ뷁"


def small_base(*extra: tuple[str, str]) -> TokenizerJson:
    """Bytes, `▁`, runs of it, 가 and `a`; `extra` are merges."""
    tokens = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", "가", "a", "▁▁", "▁▁▁", "▁a"]
    merges = [("▁", "a"), ("▁", "▁"), ("▁▁", "▁")]
    for left, right in extra:
        tokens += [token for token in (left, right, left + right) if token not in tokens]
        merges.insert(1, (left, right))
    model = {"type": "BPE", "byte_fallback": True, "unk_token": "<unk>", "fuse_unk": True}
    model |= {"vocab": {token: i for i, token in enumerate(tokens)}, "merges": merges}
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    config = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": replace}
    config |= {"pre_tokenizer": None, "post_processor": None, "decoder": None, "model": model}
    return tokenizer_of(config)


BASES = {
    "plain": small_base(),
    "merges Hangul": small_base(("가", "나"), ("▁", "가나"), ("가나", "뷁")),
    "byte-level": tokenizer_of(tiny()),
    "takes words whole": changed(tokenizer_of(tiny()), lambda config: config["model"].update(ignore_merges=True)),
}

WORD_COUNTS = st.dictionaries(
    st.text(LETTERS + "▁", min_size=1, max_size=9).filter(lambda word: word.strip("▁")),
    st.integers(1, 9),
    min_size=1,
    max_size=30,
)


def same(
    recount: Recount,
    counts: TokenCounts,
    words: pl.DataFrame,
    base: TokenizerJson,
    vocabulary: Vocabulary,
    others: pl.DataFrame | None = None,
) -> None:
    """The counts are those of the target that is built for real."""
    target = build_target(base, vocabulary.frame())
    table = count_tokens(words, target)
    by_token = {target.text_of.get(i): count for i, count in table.select("id", "count").iter_rows()}
    there = vocabulary.tokens(vocabulary.there)
    assert counts.by_row.filter(vocabulary.there).to_list() == [by_token[token] for token in there]
    rest = 0 if others is None else count_tokens(others, target)["count"].sum()
    assert counts.tokens == table["count"].sum() + rest
    recount.check(target)


@pytest.mark.parametrize("kind", BASES)
@settings(max_examples=300, deadline=None)
@given(counts=WORD_COUNTS, data=st.data())
def test_every_round_counts_as_its_own_target_does(kind: str, counts: dict[str, int], data: st.DataObject) -> None:
    words, base = words_of(counts), BASES[kind]
    trained = intermediate.train(intermediate.training_words(words), 40)
    first = Vocabulary.of(trained, base.texts, missing_scaffolds(base, trained["token"]))
    tokens = first.table["token"].to_list()
    some = st.sets(st.sampled_from(tokens), max_size=3) if tokens else st.just(set[str]())
    vocabulary = first.without(first.rows(data.draw(some))).reachable()
    recount = Recount(Held(words), base, vocabulary)
    same(recount, recount.count(vocabulary), words, base, vocabulary)
    for _ in range(data.draw(st.integers(1, 4))):
        back = first.table["character"] & first.rows(data.draw(some))
        # Whatever comes back, merges too: more than refine ever asks for.
        back = first.rows(data.draw(some)) if data.draw(st.integers(0, 4)) == 0 else back
        vocabulary = vocabulary.without(first.rows(data.draw(some))).plus(back).reachable()
        same(recount, recount.count(vocabulary), words, base, vocabulary)


class Checked(Recount):
    """Compares every round with the target built anew."""

    def __init__(
        self,
        words: Tables,
        base: TokenizerJson,
        vocabulary: Vocabulary,
        others: Tables,
        text: Text,
        script: Script,
    ) -> None:
        super().__init__(words, base, vocabulary, others, text, script)
        self.given, self.others = (pl.concat(words), base), pl.concat(others)

    def count(self, vocabulary: Vocabulary) -> TokenCounts:
        counts = super().count(vocabulary)
        same(self, counts, *self.given, vocabulary, self.others)
        ROUNDS.append(int(vocabulary.there.sum()))
        return counts


ROUNDS: list[int] = []


@pytest.mark.parametrize(
    ("chosen", "decided"),
    [
        (RefineSettings(20, 60, 5_000), False),
        (RefineSettings(60, 20, 5_000), True),
        (RefineSettings(30, 30, 5_000, 1_500, "leaf"), True),
        (RefineSettings(5, 5, 5_000, prune="leaf"), False),
    ],
    ids=str,
)
def test_every_round_on_real_text(
    ko_small: pl.Series, mistral: Any, monkeypatch: pytest.MonkeyPatch, chosen: RefineSettings, decided: bool
) -> None:
    monkeypatch.setattr(import_module("kovocab.refining.intermediate"), "Recount", Checked)
    ROUNDS.clear()
    words = count(ko_small.gather_every(8), mistral)
    decisions = Decisions(frozenset(["▁대한민국"]), frozenset(["습니다", "▁그", "이다"])) if decided else None
    result = refine(words, mistral, chosen, decisions)
    assert len(ROUNDS) == len(result.rounds) + 1 >= 3  # all candidates first
    assert ROUNDS[0] > ROUNDS[-1]


def test_every_round_of_a_base_that_merges_hangul(base: TokenizerJson, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_module("kovocab.refining.intermediate"), "Recount", Checked)
    texts = pl.Series(list(sample_documents(100_000)))
    once = refine(count(texts, base), base, RefineSettings(8, 8, 2_000))
    target = build_target(base, once.vocabulary.head(len(once.vocabulary) // 2))
    ROUNDS.clear()
    result = refine(count(texts, target), target, RefineSettings(6, 6, 3_000))
    assert len(ROUNDS) == len(result.rounds) + 1 >= 3  # all candidates first


def test_a_round_encodes_only_what_it_touches(caplog: pytest.LogCaptureFixture) -> None:
    words = words_of({"▁가나": 5, "다다": 4, "가나다ㅋ": 3, "뷁": 2})
    vocabulary = Vocabulary.of(intermediate.train(intermediate.training_words(words), 40), BASES["plain"].ids)
    recount = Recount(Held(words), BASES["plain"], vocabulary)
    caplog.set_level("DEBUG", logger=room.__name__)
    recount.count(vocabulary)
    recount.count(vocabulary := vocabulary.without(vocabulary.rows(["뷁"])))
    recount.count(vocabulary := vocabulary.without(vocabulary.rows(["다다"])))
    recount.count(vocabulary.without(vocabulary.rows(["가나"])).reachable())
    assert [record.message.split()[0] for record in caplog.records] == ["0", "0", "1", "2"]


def test_a_target_that_emits_something_else_is_a_fault(counted: Counted, mistral: Any) -> None:
    base, words = load_tokenizer(mistral), counted.words.filter(pl.col("word").str.contains("[가-힣]")).head(2_000)
    vocabulary = Vocabulary.of(intermediate.train(intermediate.training_words(words), 2_000), base.ids)
    recount = Recount(Held(words), base, vocabulary)
    target = build_target(base, vocabulary.frame())
    recount.check(target)
    last = next(merge for merge in reversed(tokenizer_merges(target)) if "▁" not in "".join(merge))
    without = changed(target, lambda config: config["model"]["merges"].remove(list(last)))
    with pytest.raises(TokenizerError, match="more or less often than refine counted: a fault of kovocab"):
        recount.check(without)
