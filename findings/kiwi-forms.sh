#!/usr/bin/env bash
# kiwipiepy: morphemes overlap, and their forms hold letters that the text does not.
#
# Expected: the forms of a morphological analyser, joined, give the text (but for spaces), and `start` and `len` cut it
# into pieces that do not overlap.
# Seen 2026-11-28, kiwipiepy 0.24.1: 됩니다 is 되 + [U+11B8]니다; that jamo stands neither in the text nor in the
# blocks of syllables (가-힣) and of letters (ㄱ-ㅣ); both begin at 0. 가요 is 가 + 어요: a syllable (어) that nobody
# wrote. Of 11 morphemes in five words four begin before the one before them ends. `join` puts the words right again.
# For an expanded vocabulary: words of a vocabulary that are to end where morphemes end cannot be found by comparing
# strings; go by `start` and `len`, and expect no border inside a contracted syllable.
#> kiwipiepy 0.24.1
#> 됩니다: 되 0-1, [U+11B8]니다 0-3; joined 되[U+11B8]니다, by join() 됩니다
#> 가요: 가 0-1, 어요 0-2; joined 가어요, by join() 가요
#> 예뻤다: 예쁘 0-2, 었 1-2, 다 2-3; joined 예쁘었다, by join() 예뻤다
#> 했습니다: 하 0-1, 었 0-1, 습니다 1-4; joined 하었습니다, by join() 했습니다
#> 사람: 사람 0-2; joined 사람, by join() 사람
#> overlapping: 4 of 11
. "$(dirname "$0")/lib.sh"
environment env kiwipiepy==0.24.1 kiwipiepy-model==0.24.0

cat > probe.py <<'PYTHON'
from importlib.metadata import version

from kiwipiepy import Kiwi

print("kiwipiepy", version("kiwipiepy"))
kiwi = Kiwi(num_workers=1)
overlapping = total = 0
for word in ("됩니다", "가요", "예뻤다", "했습니다", "사람"):
    tokens = kiwi.tokenize(word)
    total += len(tokens)
    overlapping += sum(b.start < a.start + a.len for a, b in zip(tokens, tokens[1:], strict=False))
    parts = [f"{token.form} {token.start}-{token.start + token.len}" for token in tokens]
    joined = "".join(token.form for token in tokens)
    print(f"{word}: {', '.join(parts)}; joined {joined}, by join() {kiwi.join(tokens)}".replace("\u11b8", "[U+11B8]"))
print(f"overlapping: {overlapping} of {total}")
PYTHON
env/bin/python probe.py > seen
unchanged
