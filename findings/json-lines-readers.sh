#!/usr/bin/env bash
# polars, pyarrow and Python's json read other texts from the same JSON lines.
#
# Expected: a column `text` of a JSON Lines file is the same text by every reader, or refused.
# Seen 2026-11-28, polars 2.1.0 (also with the schema `{"text": String}`), pyarrow 26.0.1, Python's json:
#   - of a key that stands twice in a line polars takes the first value, json the last; pyarrow refuses the line;
#   - a number, a truth value or an object among texts is text for polars, written anew (1.50 is "1.5", 1e3 is "1000");
#     pyarrow refuses the file;
#   - texts that are all dates are times for pyarrow, and stay texts if one more text follows that is none.
# For an expanded vocabulary: counts over one corpus differ between tools that read it by different libraries; a text
# column that holds numbers goes unnoticed where polars reads.
#> polars 2.1.0, pyarrow 26.0.1
#> twice: polars ['a'], pyarrow refused, json ['b']
#> number: polars ['a', '1.5', '1000'], pyarrow refused, json ['a', 1.5, 1000.0]
#> object: polars ['a', '{"b": [1, null]}', 'true'], pyarrow refused, json ['a', {'b': [1, None]}, True]
#> dates: polars ['2026-11-28'], pyarrow [datetime.datetime(2026, 11, 28, 0, 0)], json ['2026-11-28']
#> dates and text: polars ['2026-11-28', 'a'], pyarrow ['2026-11-28', 'a'], json ['2026-11-28', 'a']
. "$(dirname "$0")/lib.sh"
environment env polars==2.1.0 pyarrow==26.0.1

cat > probe.py <<'PYTHON'
import json

import polars
import pyarrow
import pyarrow.json

CASES = {
    "twice": ['{"text": "a", "text": "b"}'],
    "number": ['{"text": "a"}', '{"text": 1.50}', '{"text": 1e3}'],
    "object": ['{"text": "a"}', '{"text": {"b":[1,null]}}', '{"text": true}'],
    "dates": ['{"text": "2026-11-28"}'],
    "dates and text": ['{"text": "2026-11-28"}', '{"text": "a"}'],
}
print(f"polars {polars.__version__}, pyarrow {pyarrow.__version__}")
for name, lines in CASES.items():
    with open("corpus.jsonl", "w") as out:
        out.writelines(line + "\n" for line in lines)
    guessed = polars.scan_ndjson("corpus.jsonl").collect()["text"].to_list()
    stated = polars.scan_ndjson("corpus.jsonl", schema={"text": polars.String}).collect()["text"].to_list()
    assert guessed == stated, (guessed, stated)
    try:
        arrow = pyarrow.json.read_json("corpus.jsonl")["text"].to_pylist()
    except pyarrow.ArrowInvalid:
        arrow = "refused"
    print(f"{name}: polars {stated}, pyarrow {arrow}, json {[json.loads(line)['text'] for line in lines]}")
PYTHON
env/bin/python probe.py > seen
unchanged
