#!/usr/bin/env bash
# tokenizers 0.23.3: its NFC is of Unicode 9, while its split patterns are of Unicode 16.
#
# Expected: NFC orders every mark by its combining class, as Python's unicodedata and ICU do; one library knows one
# Unicode.
# Seen 2026-11-28, tokenizers 0.23.3, beside unicodedata2 16.0.0 and gigatoken 0.10.0: of all marks with a combining
# class, those assigned since Unicode 10 are not moved (Telugu's nukta, U+0C3C, of Unicode 14: behind a virama it stays
# there), and \p{L} knows a letter of Unicode 16 all the same. gigatoken orders them by a newer Unicode: with one and
# the same tokenizer.json, a byte-level one with NFC as Qwen's are, the two give other ids for such a text. Nothing is
# raised or printed.
# For an expanded vocabulary: count and encode with one library, or bring the corpus into NFC by a newer one before;
# Korean is not touched (jamo compose in all of them).
#> tokenizers 0.23.3, unicodedata2 16.0.0, gigatoken 0.10.0
#> marks with a combining class: 934, not moved by tokenizers: 120
#> U+0C4D U+0C3C: tokenizers U+0C4D U+0C3C, unicodedata2 U+0C3C U+0C4D
#> the same ids by gigatoken: False
#> U+10D4A, of Unicode 16, is a letter to tokenizers: True
#> U+1112 U+1161 U+11AB: tokenizers U+D55C, unicodedata2 U+D55C
. "$(dirname "$0")/lib.sh"
environment env tokenizers==0.23.3 unicodedata2==16.0.0 gigatoken==0.10.0

cat > probe.py <<'PYTHON'
import json
from importlib.metadata import version

import gigatoken
import unicodedata2
from tokenizers import Regex, Tokenizer
from tokenizers.normalizers import NFC
from tokenizers.pre_tokenizers import ByteLevel, Split

print(", ".join(f"{name} {version(name)}" for name in ("tokenizers", "unicodedata2", "gigatoken")))
nfc = NFC().normalize_str
marks = [chr(i) for i in range(0x110000) if unicodedata2.combining(chr(i))]
low, high = "\u0334", "\u0345"  # classes 1 and 240: a mark in between goes behind the one or before the other
moved = [m for m in marks if any(nfc(t) != t for t in ("x" + high + m, "x" + m + low))]
wanted = [m for m in marks if any(unicodedata2.normalize("NFC", t) != t for t in ("x" + high + m, "x" + m + low))]
print(f"marks with a combining class: {len(marks)}, not moved by tokenizers: {len(set(wanted) - set(moved))}")


def codes(text):
    return " ".join(f"U+{ord(c):04X}" for c in text)


text = "\u0c4d\u0c3c"
print(f"{codes(text)}: tokenizers {codes(nfc(text))}, unicodedata2 {codes(unicodedata2.normalize('NFC', text))}")
letters = sorted(ByteLevel.alphabet(), key=ord)
byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
file = {
    "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": {"type": "NFC"},
    "pre_tokenizer": byte_level, "post_processor": None, "decoder": byte_level,
    "model": {"type": "BPE", "vocab": {letter: i for i, letter in enumerate(letters)}, "merges": []},
}
written = json.dumps(file)
ours = Tokenizer.from_str(written).encode("క" + text).ids
theirs = [int(i) for i in gigatoken.Tokenizer.from_json(written).encode("క" + text)]
print(f"the same ids by gigatoken: {ours == theirs}")
cut = Split(Regex(r"\p{L}+"), "isolated").pre_tokenize_str("1\U00010d4a2")
print(f"U+10D4A, of Unicode 16, is a letter to tokenizers: {len(cut) == 3}")
text = "\u1112\u1161\u11ab"
print(f"{codes(text)}: tokenizers {codes(nfc(text))}, unicodedata2 {codes(unicodedata2.normalize('NFC', text))}")
PYTHON
env/bin/python probe.py > seen
unchanged
