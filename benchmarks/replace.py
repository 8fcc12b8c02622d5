"""New tokens at the ids of old ones, beside new tokens appended: tokens per word at equal size, in text not counted.

Nine documents in ten are counted, refined and replaced by; the tenth is measured. `rarest, no order` takes the same
number of base tokens, the rarest of the same counts, without looking at what others are made of.

    python benchmarks/replace.py shared/data --bases mistral_v1 gpt2 --new 2000 4000 8000
"""

import argparse
import tempfile
from pathlib import Path

import polars as pl

import kovocab
from kovocab.building.promises import lost
from kovocab.building.target import build_target
from kovocab.counting.count import count
from kovocab.counting.word_counts import load_counted
from kovocab.replacing.exchange import exchange
from kovocab.replacing.replace import Replaced, replace
from kovocab.replacing.settings import ReplaceSettings
from kovocab.replacing.staying import staying
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.tokenizer import load_tokenizer
from kovocab.tokenizer.tokenizer_json import TokenizerJson
from setting import check_build

TEXTS = {"ko": "ko.parquet", "en": "en.jsonl.zst", "other": "other.jsonl.zst"}


def halves(data: Path) -> dict[str, tuple[pl.Series, pl.Series]]:
    """Of each text what is counted, and what is measured."""
    found = {}
    for name, file in TEXTS.items():
        path = data / file
        text = pl.read_parquet(path)["text"] if path.suffix == ".parquet" else pl.read_ndjson(path)["text"]
        tenth = pl.int_range(len(text), eager=True) % 10 == 9
        found[name] = (text.filter(~tenth), text.filter(tenth))
    return found


def per_word(words: dict[str, Path], tokenizer: TokenizerJson) -> list[float]:
    """Tokens per word of each text that is measured."""
    ratios = []
    for path in words.values():
        counted = load_counted(path)
        tokens = int(kovocab.count_tokens(counted.words, tokenizer)["count"].sum())
        ratios.append(tokens / counted.record["words_between_space"])
    return ratios


def unreachable(tokenizer: TokenizerJson, base: TokenizerJson) -> int:
    """Tokens that merges do not make of their own text, of those that have to: no special ones, no bytes."""
    added = {token.content for token in base.added_tokens}
    return sum(not (t in added or (len(t) == 6 and t.startswith("<0x"))) for t, _ in lost(tokenizer, tokenizer.texts))


def without_order(replaced: Replaced, base: TokenizerJson, source: Path, words: dict[str, Path]) -> TokenizerJson:
    """As many tokens gone, the rarest of the same texts, whatever is made of them."""
    appended = build_target(base, replaced.vocabulary.select("token", "left", "right"))
    ko, en = (kovocab.count_tokens(load_counted(words[name]).words, base)["count"] for name in ("ko", "en"))
    share = ko / ko.sum() + en / en.sum()
    table = pl.DataFrame({"id": range(base.size), "share": share})
    stays = staying(base, Reference(base), source)
    rarest = table.filter(~pl.col("id").is_in(sorted(stays))).sort("share", "id", descending=[False, True])
    return exchange(appended, rarest["id"].head(appended.size - base.size).to_list())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--bases", nargs="+", default=["mistral_v1", "gpt2"])
    parser.add_argument("--new", nargs="+", type=int, default=[2000, 4000, 8000])
    parser.add_argument("--keep", nargs="+", choices=["en", "other"], default=["en"])
    parser.add_argument("--max_english_loss", type=float, default=0.01)
    parser.add_argument("--min_count", type=int, default=300)
    given = parser.parse_args()
    check_build()
    texts = halves(given.data)
    print("\n| base | tokenizer | rows | new | Korean | English | other languages | unreachable |")
    print("|---|---|--:|--:|--:|--:|--:|--:|", flush=True)
    for name in given.bases:
        source = given.data / "tokenizers" / name
        base = load_tokenizer(source)
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            made: dict[str, Path] = {}
            held: dict[str, Path] = {}
            for text, (counted, measured) in texts.items():
                made[text], held[text] = folder / f"{text}.parquet", folder / f"held_{text}.parquet"
                count(counted, source).save(made[text])
                count(measured, source).save(held[text])
            settings = kovocab.RefineSettings(given.min_count, given.min_count, max_new_tokens=max(given.new))
            kovocab.refine(load_counted(made["ko"]), source, settings).save(folder / "refined")
            row(name, "base", base, 0, base, held)
            for new in given.new:
                how = ReplaceSettings(given.max_english_loss, new)
                replaced = replace(folder / "refined", made["ko"], source, [made[text] for text in given.keep], how)
                record = replaced.save(folder / f"replaced{new}")
                told = ", ".join(f"{text['name']} {text['loss']:+.3%}" for text in record["texts"][1:])
                size = record["new_tokens"]
                appended = replaced._appended
                row(name, "appended", appended, size, base, held)
                row(name, f"replaced (counted {told})", replaced.target, size, base, held)
                row(name, "rarest, no order", without_order(replaced, base, source, made), size, base, held)


def row(name: str, kind: str, tokenizer: TokenizerJson, new: int, base: TokenizerJson, held: dict[str, Path]) -> None:
    ratios = " | ".join(f"{ratio:.4f}" for ratio in per_word(held, tokenizer))
    dead = unreachable(tokenizer, base)
    print(f"| {name} | {kind} | {tokenizer.size:,} | {new:,} | {ratios} | {dead:,} |", flush=True)


if __name__ == "__main__":
    main()
