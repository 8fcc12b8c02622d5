"""Korean-looking text at the speed of a disk, for benchmarks: as many GB as wanted, the same from the same seed.

    python benchmarks/text.py 4GB.parquet --gigabytes 4 [--shards 8] [--seed 0]

Nobody wrote this text and it means nothing (`kovocab sample` makes sentences, slowly). What it shares with a real
corpus is what costs a counter time: the number of distinct words and how it grows, how much of the text the most
common words are, how long words and documents are, what stands between runs of Hangul. A text is Hangul words with
gaps between them. The rank of a word is drawn from a law without end, measured on a real corpus up to some rank and
falling as a power after that; its spelling is a function of the rank, and no two ranks below 2**45 are spelled alike.
"""

import argparse
import gzip
import math
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import accumulate, count
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

T = TypeVar("T")

UNITS = 1 << 18  # gaps and words that a block is made of: some 3 MB of text

# P(rank > r), of Hangul words: such that words are as common as in 112 MB of Korean reviews, law, petitions and news.
LAW = {1: 0.989, 3: 0.975, 10: 0.944, 30: 0.893, 100: 0.811, 300: 0.713, 1_000: 0.587, 3_000: 0.452, 10_000: 0.308}
LAW |= {30_000: 0.195, 100_000: 0.104}
TAIL = 1 / 3  # from there on it falls as rank ** -TAIL, for ever: distinct words grow as words ** (1 / (1 + TAIL))

# Syllables by how common they are in Korean text.
SYLLABLES = (
    "니를사서기수제정인시자있리어해스대일아용나보요그라여부합들만조습게화전면할상원트과적성장주드되구경영소위데우터관모것세입내음무개"
    "행공동거법문재생오야유호와마없된비미실러중작항신분치연함국명않계업진간안설려당단파체반선메같예프었식및각결래방더포저말때건등본변출금했"
    "회발른운통버산임또추처따네교록속환표점감바현청력타형매션코너좋참디크레두확배알됩학심번히외역물피년목며직후차열든필령증능최민판받집준람"
    "키별토값약클언불달름런급특남권플였았양던복잘많테애택노평르근날규태못강종검줄루겠새료편련줘난월살랑워질절짜될온류책초느립브울액취볼페격독"
    "패색컴품육렇술늘봤존송델올접져활좀님막블병범링담허망티순케박객군석밌린험싶완걸란백론향누컨천베족앱듯채길칙카십봐축손얼창왜억씨친몇께므"
    "머효악응엔투답림김턴긴옵럼황돌커률승끝찾충찰냐듈템젝훈눈먹쓰글희맞릭움혼닌량극빠넘째협앞딩냥견웃례릴읽뭐광침왔겨램득힘텍획쪽엄벌먼갈잡"
    "퍼벤략락죄측돈켜빌떻귀폭큰잔캐즈텐죽렉콘북익밖팅녀높떤슬총솔몰농폐졌철뿐뒤율롤탁삭쳐럽넌탄곳써괜쉽납첫뉴끼밀뷰찮징헤널갖휴즘혀죠암쉬"
    "삼갑렸줍놓욕렌즉잠논꼭룹풍꺼랜멋엇쟁둘슨낮압컬착잼츠썬렬흥찬낸떠낌콜맨핑폴탈릿층웹센빈밝꾸짓듭떨퓨섹놀냅셔셨쁘념났큼벽싸봉샘얻혹멤튜융"
)
ENDINGS = ("", "이", "가", "을", "는", "은", "의", "에", "로", "도", "고", "다", "에서", "하는", "으로", "까지")
BITS = (9, 8, 8, 8, 8)  # the syllables of a stem, as bits of the scrambled rank: 512 in the first place, then 256
STEMS = (0, 16, 600, 12_000, 150_000, 1 << 24)  # the first rank with a stem of 0, 1 ... 5 syllables
SCRAMBLE = 0x9E3779B97F4A7C15
HEAD = 1 << 17  # ranks whose spelling is kept

# What stands between two runs of Hangul, in ten thousandths; the rest holds a number or a Latin word.
GAPS = {
    " ": 7550, ". ": 240, ", ": 190, ".": 120, ".\n\n": 110, "\n": 58, "(": 34, "..": 27, "\n\n": 27, "...": 22,
    ")": 22, '"': 18, ") ": 16, ' "': 16, "** ": 15, "?": 15, ".\n": 15, ".. ": 15, "? ": 15, " **": 14, " (": 14,
    "  ": 13, ".\n\n## ": 12, "... ": 10, "!": 9, ".\n\n### ": 29, " ‘": 8, ",": 8, ". <": 8, ": ": 7, "~": 7,
    "’": 7, "! ": 7, "」 ": 6, " '": 6, "'": 5, "·": 5, "/": 5, ")\n\n① ": 35, " *": 5, " “": 4, "\n\n## ": 4,
}  # fmt: skip
BEFORE = ("", " ", " ", " ", ", ", " (", "\n", ". ")  # before such a number or word, and after it
AFTER = ("", "", "", " ", " ", ") ", ", ", ".\n")
RARE_SPREAD = 60.0  # its rank is about even up to this one, then falls as rank ** -1/3

# Words a document has at most, by the share of documents.
LENGTHS = {0: 1, 0.05: 2, 0.25: 4, 0.5: 7, 0.75: 10, 0.9: 18, 0.95: 28, 0.98: 175, 0.99: 460, 0.999: 2565, 1: 5149}


def packed(texts: Sequence[str], width: int = 1) -> np.ndarray:
    """A row of `width` 32-bit words a text: its UTF-8, filled up with zero bytes."""
    return np.array([list(text.encode().ljust(4 * width, b"\0")) for text in texts], np.uint8).view("<u4")


FIRST = tuple(accumulate(BITS, initial=4))
OF_STEMS = [syllable for syllable in SYLLABLES if syllable not in "".join(ENDINGS)]  # so a word parts in one way only
STEM_TABLE = packed(OF_STEMS[:512])[:, 0]
ENDING_TABLE = packed(ENDINGS, 2)
ENDING_BYTES = np.array([len(ending.encode()) for ending in ENDINGS])
SINGLE = packed(sorted({syllable for ending in ENDINGS for syllable in ending}))[:, 0]


def spell(ranks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The Hangul words of these ranks: rows of syllables with holes between them, and their lengths in bytes."""
    length = np.searchsorted(np.array(STEMS[1:], np.uint64), ranks, side="right")
    bits = np.array(FIRST, np.uint64)[length]
    scrambled = (ranks * np.uint64(SCRAMBLE)) & ((np.uint64(1) << bits) - np.uint64(1))  # one to one
    ending = (scrambled & np.uint64(15)).astype(np.intp)
    rows = np.zeros((len(ranks), len(BITS) + 2), "<u4")
    for place, (first, width) in enumerate(zip(FIRST, BITS, strict=False)):
        digit = (scrambled >> np.uint64(first)) & np.uint64((1 << width) - 1)
        rows[:, place] = STEM_TABLE[digit.astype(np.intp)] * (place < length)
    rows[:, len(BITS) :] = ENDING_TABLE[ending]
    sizes = 3 * length + ENDING_BYTES[ending]
    alone = length == 0
    rows[alone] = 0
    rows[alone, 0] = SINGLE[ranks[alone].astype(np.intp) % len(SINGLE)]
    sizes[alone] = 3
    return rows, sizes


HEAD_ROWS, HEAD_BYTES = spell(np.arange(HEAD, dtype=np.uint64))
LOG_RANKS = np.log([math.exp(-1), *LAW, 1e5 * 1e-16 ** (-1 / TAIL) * LAW[100_000] ** (1 / TAIL)][::-1])
LOG_SHARES = np.log([1.0, *LAW.values(), 1e-16][::-1])


def hangul_words(random: np.random.Generator, rows: np.ndarray) -> np.ndarray:
    """Fill `rows` with words as common as they should be; returns their lengths in bytes."""
    shares = np.log(1.0 - random.random(len(rows)))
    ranks = np.exp(np.interp(shares, LOG_SHARES, LOG_RANKS)).clip(max=2.0**62).astype(np.uint64)
    near = np.minimum(ranks, np.uint64(HEAD - 1)).astype(np.intp)
    rows[:] = HEAD_ROWS[near]
    sizes = HEAD_BYTES[near]
    far = np.flatnonzero(ranks >= HEAD)
    rows[far], sizes[far] = spell(ranks[far])
    return sizes


SHARES = [65_536 * share // 10_000 for share in GAPS.values()]
GAP_OF = np.repeat(np.arange(len(GAPS) + 1), [*SHARES, 65_536 - sum(SHARES)])  # the last is a number or Latin word
GAP_TABLE = packed([*GAPS, ""], 5)
GAP_BYTES = np.array([len(gap.encode()) for gap in [*GAPS, ""]])
LETTERS = [c + v for c in "bcdfghjklmnprstvwyz" for v in "aeiou"] + [v + c for v in "aeiou" for c in "bcdfghklmnrstxz"]
RARE = [
    packed([*(LETTERS * 2)[:256], *(form.format(i) for i in range(256))])[:, 0] for form in ("{}", "{:03}", "{:03}")
]
RARE_BYTES = [np.count_nonzero(table.view(np.uint8).reshape(-1, 4), axis=1) for table in RARE]


def gaps(random: np.random.Generator, rows: np.ndarray) -> np.ndarray:
    """Fill `rows` with what stands before words; returns the lengths in bytes."""
    chosen = GAP_OF[random.integers(0, 65_536, len(rows), np.uint16)]
    rows[:] = GAP_TABLE[chosen]
    sizes = GAP_BYTES[chosen]
    rare = np.flatnonzero(chosen == len(GAPS))
    ranks = (RARE_SPREAD * ((1.0 - random.random(len(rare))) ** -3.0 - 1.0)).clip(max=2.0**62).astype(np.uint64)
    length = 1 + (ranks >= 1 << 9) + (ranks >= 1 << 17).astype(int)
    scrambled = ranks >> np.uint64(1)
    made = np.zeros((len(rare), 5), "<u4")
    total = np.zeros(len(rare), int)
    for place, (table, widths) in enumerate(zip(RARE, RARE_BYTES, strict=True)):
        # The last bit says whether it is a number, bytes of the rank are its parts.
        part = ((scrambled >> np.uint64(8 * place)) & np.uint64(255)) + ((ranks & np.uint64(1)) << np.uint64(8))
        part = part.astype(np.intp)
        made[:, 1 + place] = table[part] * (place < length)
        total += widths[part] * (place < length)
    for place, around in ((0, BEFORE), (4, AFTER)):
        which = random.integers(0, len(around), len(rare), np.uint8)
        made[:, place] = packed(around)[which, 0]
        total += np.array([len(text) for text in around])[which]
    rows[rare], sizes[rare] = made, total
    return sizes


def block(index: int, seed: int = 0) -> pl.Series:
    """The documents of one block, named `text`: about 3 MB that depend on `index` and `seed` alone."""
    random = np.random.Generator(np.random.SFC64([seed, index]))
    drawn = np.interp(random.random(UNITS // 8), list(LENGTHS), np.log(list(LENGTHS.values())))
    ends = np.cumsum(np.exp(drawn).astype(int))
    ends = ends[ends < UNITS]
    starts = np.concatenate([[0], ends])
    rows = np.empty((UNITS, 12), "<u4")
    before = gaps(random, rows[:, :5])
    rows[starts, :5] = 0  # a document begins with a word
    before[starts] = 0
    offsets = np.zeros(UNITS + 1, np.int64)
    np.cumsum(before + hangul_words(random, rows[:, 5:]), out=offsets[1:])
    data = rows.tobytes().translate(None, b"\0")
    bounds = offsets[np.append(starts, UNITS)]
    texts = pa.LargeStringArray.from_buffers(len(starts), pa.py_buffer(bounds.tobytes()), pa.py_buffer(data))
    return pl.Series("text", texts)


def blocks(bytes_: int, seed: int = 0) -> Iterator[pl.Series]:
    """Documents, block by block in order, until there are `bytes_` bytes of text, made by a process a processor."""
    return _made(bytes_, seed, _as_it_is)


def write(paths: Sequence[Path], bytes_: int, seed: int = 0) -> None:
    """Write `bytes_` bytes of text, block by block in turn over `paths`, which have one suffix.

    It says how: .parquet (Zstandard, a row group a block), .jsonl, .txt, and these two with .gz or .zst. In .txt a
    document is a line, so its newlines become spaces. Blocks are compressed apart: members of a gzip file, frames
    of a Zstandard file. Memory: some blocks of 3 MB.
    """
    compressed = paths[0].suffix in (".gz", ".zst")
    suffix = "".join(paths[0].suffixes[-2 if compressed else -1 :])
    turn = 0
    with ExitStack() as stack:
        if suffix == ".parquet":
            schema = pa.schema([("text", pa.large_string())])
            tables = [
                stack.enter_context(pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=False))
                for path in paths
            ]
            for turn, series in enumerate(blocks(bytes_, seed)):
                tables[turn % len(paths)].write_table(pa.table([series.to_arrow().cast(schema[0].type)], schema=schema))
        else:
            files = [stack.enter_context(path.open("wb")) for path in paths]
            for turn, encoded in enumerate(_made(bytes_, seed, Encoding(suffix))):
                files[turn % len(paths)].write(encoded)
    if turn + 1 < len(paths):
        raise SystemExit(f"{bytes_:,} bytes are {turn + 1} blocks, too few for {len(paths)} files")


@dataclass(frozen=True)
class Encoding:
    """What a block is in a file of this suffix."""

    suffix: str

    def __call__(self, texts: pl.Series) -> bytes:
        _, form, *compressed = self.suffix.split(".")
        if form == "jsonl":
            data = texts.to_frame().write_ndjson().encode()
        else:
            data = texts.str.replace_all("\n", " ", literal=True).str.join("\n")[0].encode() + b"\n"
        if compressed == ["gz"]:
            return gzip.compress(data)
        return pa.compress(data, codec="zstd", asbytes=True) if compressed == ["zst"] else data


def _as_it_is(texts: pl.Series) -> pl.Series:
    return texts


def _make(index: int, seed: int, encode: Callable[[pl.Series], T]) -> tuple[int, T]:
    texts = block(index, seed)
    return int(texts.str.len_bytes().sum()), encode(texts)


def _made(bytes_: int, seed: int, encode: Callable[[pl.Series], T]) -> Iterator[T]:
    processes = len(os.sched_getaffinity(0))
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        indices = count()
        ahead = deque(pool.submit(_make, next(indices), seed, encode) for _ in range(processes + 1))
        try:
            for index in count():
                size, encoded = ahead.popleft().result()
                if size >= bytes_:
                    texts = block(index, seed)
                    before = texts.str.len_bytes().cum_sum().shift(fill_value=0)
                    yield encode(texts.filter(before < bytes_))
                    return
                ahead.append(pool.submit(_make, next(indices), seed, encode))
                bytes_ -= size
                yield encoded
        finally:
            pool.shutdown(cancel_futures=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help=".parquet, .jsonl, .txt, or .gz or .zst of these two")
    parser.add_argument("--gigabytes", type=float, required=True)
    parser.add_argument("--shards", type=int, default=1, help="so many files, named 000-OUT and so on")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    size = int(arguments.gigabytes * 1e9)
    paths = shards(arguments.out, arguments.shards)
    start = time.perf_counter()
    write(paths, size, arguments.seed)
    disk = sum(path.stat().st_size for path in paths)
    print(f"{size:,} bytes of text, {disk:,} on disk, {size / (time.perf_counter() - start) / 1e6:.0f} MB/s")


def shards(path: Path, number: int) -> list[Path]:
    """`path` itself, or so many names in which `path`'s follows a number."""
    return [path] if number == 1 else [path.with_name(f"{i:03}-{path.name}") for i in range(number)]


if __name__ == "__main__":
    main()
