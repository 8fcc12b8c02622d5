"""Slow, obvious twins of what `rust/`, the reader and `refine` do: the definitions, on characters and dicts."""

import json
import re
import sys
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import tokenizers

from kovocab.counting.word_counts import WORDS
from kovocab.refining import intermediate
from kovocab.tokenizer.parsing import parse
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.tokenizer_json import TokenizerJson

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

SPACE = "▁"
RUN = re.compile(f"{SPACE}?[가-힣ㄱ-ㅣ]+")
"""The words that new tokens can stand in."""

Merge = tuple[str, str]
Parts = dict[str, Merge | None]


def decompress(data: bytes, suffix: str) -> tuple[bytes, bool]:
    """All that can be decompressed, byte by byte, and whether that is all."""
    found, stream, began = b"", None, False
    for byte in data:
        if stream is None:
            if suffix == ".gz" and began and byte == 0:
                continue  # padding
            stream = zlib.decompressobj(31) if suffix == ".gz" else zstd.ZstdDecompressor()
            began = True
        try:
            found += stream.decompress(bytes([byte]))
        except (zlib.error, zstd.ZstdError):
            return found, False
        if stream.eof:
            stream = None
    return found, began and stream is None


def documents(data: bytes, suffix: str, as_json: bool) -> tuple[list[str], list[tuple[str, int | None]]]:
    """The documents in the bytes of a text file, and the places of its faults with what each loses."""
    whole = True
    if suffix in (".gz", ".zst"):
        data, whole = decompress(data, suffix)
    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    last = lines.pop()
    if last and whole:
        lines.append(last)
    found, faults = [], []
    for number, line in enumerate(lines, start=1):
        try:
            text = line.removesuffix(b"\r").decode()
            if as_json:
                if set(text) <= set(" \t\r"):
                    continue
                text = json_text(text)
            text.encode()
        except (ValueError, TypeError, KeyError, RecursionError):
            faults.append((f"line {number}", 1))
        else:
            found.append(text)
    if not whole:
        faults.append((f"after line {len(lines)}" if lines else "", None))
    return found, faults


def rows(path: Path, column: str) -> tuple[list[str], list[tuple[int, str]]]:
    """The documents of a Parquet file, each row by itself; and the rows that give none, with why."""
    found, lost = [], []
    for row in range(pl.scan_parquet(path).select(pl.len()).collect().item()):
        try:
            text = pl.scan_parquet(path).select(column).slice(row, 1).collect().item()
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
            lost.append((row + 1, "damaged"))
            continue
        if text is None:
            lost.append((row + 1, "null"))
        else:
            found.append(text)
    return found, lost


def json_text(line: str) -> str:
    """What stands in the key "text", the first of that name."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    pairs = json.loads(line, object_pairs_hook=list, parse_constant=refuse)
    text = dict(reversed(pairs))["text"]
    if not line.lstrip().startswith("{") or not isinstance(text, str):
        raise ValueError(line)
    return text


def is_hangul(character: str) -> bool:
    return "가" <= character <= "힣" or "ㄱ" <= character <= "ㅣ"


def words(
    text: str,
    special: Collection[str] = (),
    prefix: str = "prepend",
    cut: tuple[bool, bool, bool] = (True, True, True),
) -> list[str]:
    """The words of a document: special tokens first, the rest normalised and cut, place by place."""
    longest_first = "|".join(re.escape(token) for token in sorted(special, key=len, reverse=True))
    found = []
    for i, section in enumerate(re.split(f"({longest_first})", text) if special else [text]):
        if i % 2:
            found.append(section)
            continue
        normal = section.replace(" ", SPACE)
        lacks = not normal.startswith(SPACE)
        put = {"prepend": True, "always": lacks, "first": lacks and i == 0, "never": False}[prefix]
        found += cut_words(SPACE + normal if section and put else normal, cut)
    return found


def cut_words(text: str, cut: tuple[bool, bool, bool]) -> list[str]:
    spaces, newlines, hangul = cut
    cuts = [
        at
        for at, (before, after) in enumerate(pairwise(text), start=1)
        if (spaces and after == SPACE != before)
        or (newlines and "\n" in (before, after))
        or (hangul and is_hangul(before) != is_hangul(after) and before != SPACE)
    ]
    return [text[start:end] for start, end in pairwise([0, *cuts, len(text)]) if start < end]


def as_library(tokenizer: TokenizerJson | Reference) -> Reference:
    """The tokenizer as `tokenizers` has it, made once of each: that takes longer than what most tests ask of it."""
    if isinstance(tokenizer, Reference):
        return tokenizer
    kept = vars(tokenizer)
    if "_as_library" not in kept:
        kept["_as_library"] = Reference(tokenizer)
    made: Reference = kept["_as_library"]
    return made


def token_counts(
    texts: Iterable[str], tokenizer: TokenizerJson | Reference
) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """How often `tokenizers` gives each id, over whole documents."""
    library = as_library(tokenizer)
    total = np.zeros(library.document.size, np.int64)
    rest = iter(texts)
    while batch := list(islice(rest, 2_000)):
        ids = np.fromiter((i for ids in library.encode(batch) for i in ids), np.int64)
        total += np.bincount(ids, minlength=len(total))
    return total


def train(counts: Mapping[str, int], vocab_size: int, min_count: int = 1) -> list[Merge]:
    """BPE by counting all pairs anew before every merge.

    Right as long as no merge is of two equal tokens and no token can be made in two ways: from there on the
    trainer of `tokenizers` has habits of its own.
    """
    split = {word: list(word) for word in counts}
    order = sorted({character for word in counts for character in word})
    merges: list[Merge] = []
    while len(order) < vocab_size:
        at = {token: i for i, token in enumerate(order)}
        pairs: Counter[Merge] = Counter()
        for word, pieces in split.items():
            for pair in pairwise(pieces):
                pairs[pair] += counts[word]
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], at[pair[0]], at[pair[1]]))
        if pairs[best] < min_count:
            break
        split = {word: merged(pieces, best) for word, pieces in split.items()}
        merges.append(best)
        if "".join(best) not in at:
            order.append("".join(best))
    return merges


def merged(pieces: Sequence[str], pair: Merge) -> list[str]:
    found: list[str] = []
    rest = list(pieces)
    while rest:
        joined = tuple(rest[:2]) == pair
        found.append("".join(rest[:2]) if joined else rest[0])
        del rest[: 2 if joined else 1]
    return found


def train_by_tokenizers(counts: Mapping[str, int], vocab_size: int, min_count: int = 0) -> list[Merge]:
    """The merges of `tokenizers`' own trainer, to which each word is given as often as it was counted."""
    trainers = pytest.importorskip("tokenizers.trainers", reason="this version of tokenizers trains nothing")
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Split("\n", "removed")
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, min_frequency=min_count, show_progress=False)
    tokenizer.train_from_iterator(("\n".join([word] * n) for word, n in counts.items()), trainer)
    return [(left, right) for left, right in json.loads(tokenizer.to_str())["model"]["merges"]]


def build(base: TokenizerJson, parts: Parts) -> TokenizerJson:
    """The target: new tokens after the base's, new merges before those of runs of spaces."""
    config = json.loads(base.text)
    vocab, merges = config["model"]["vocab"], config["model"]["merges"]
    for token in parts:
        vocab.setdefault(token, len(vocab))
    at = max(i for i, merge in enumerate(merges, 1) if "".join(merge).strip(SPACE))
    merges[at:at] = [pair for pair in parts.values() if pair]
    return parse(json.dumps(config), "the reference's target")


def candidates(runs: Mapping[str, int], size: int, base: Collection[str]) -> Parts:
    """What the intermediate tokenizer finds: characters in code-point order, then merges in order."""
    parts: Parts = dict.fromkeys(sorted({c for run in runs for c in run}))
    if hasattr(tokenizers, "trainers"):
        merges = train_by_tokenizers(runs, size)
    else:  # the engine's are the same: tests/refining/test_intermediate.py
        learned = intermediate.train(pl.DataFrame(list(runs.items()), WORDS, orient="row"), size)
        merges = learned.drop_nulls().select("left", "right").rows()
    for left, right in merges:
        parts.setdefault(left + right, (left, right))
    return {token: pair for token, pair in parts.items() if pair or token not in base}


def refine(
    texts: Sequence[str],
    base: TokenizerJson,
    size: int,
    min_count: int,
    min_syllable_count: int,
    prune: str,
    keep: Collection[str] = (),
    drop: Collection[str] = (),
) -> tuple[dict[str, int], list[tuple[int, int, int, int]]]:
    """The model cards' loop, every round counted by encoding all documents with the target of that round.

    Returns the new tokens with their counts, and of each round (size, unreachable, dropped, added). For a base
    without Hangul merges.
    """
    have = base.ids
    special = [token.content for token in base.added_tokens]
    runs = Counter(run for text in texts for word in words(text, special) for run in RUN.findall(word))
    seen = Counter(c for text in texts for c in text if is_hangul(c))
    parts = {token: pair for token, pair in candidates(runs, size, have).items() if token not in drop}
    spared = set(drop)  # characters that are not added (again)
    rounds = []
    while True:
        there: Parts = {}
        for token, pair in parts.items():
            if pair is None or all(part in there or part in have for part in pair):
                there[token] = pair
        target = build(base, there)
        by_id = token_counts(texts, target)
        counts = {token: int(by_id[target.ids[token]]) for token in there}
        kept = {token for wanted in keep for token in stems(wanted, there)}
        stepping = {part for pair in there.values() if pair for part in pair}
        rare = set()
        for token, count in counts.items():
            least = min(min_count, min_syllable_count) if len(token) == 1 else min_count
            if count < least and token not in kept and not (prune == "leaf" and token in stepping):
                rare.add(token)
        missing = {c for c, n in seen.items() if n >= min_syllable_count and c not in {*have, *there, *spared}}
        rounds.append((len(there), len(parts) - len(there), len(rare), len(missing)))
        if not any(rounds[-1][1:]):
            return counts, rounds
        spared |= missing
        left = {token: pair for token, pair in there.items() if token not in rare}
        characters = sorted(missing | {token for token, pair in left.items() if pair is None})
        parts = dict.fromkeys(characters) | {token: pair for token, pair in left.items() if pair}


def stems(token: str, parts: Parts) -> set[str]:
    """`token` and all that it is made of."""
    if token not in parts:
        return set()
    return {token}.union(*(stems(part, parts) for part in parts[token] or ()))
