#!/usr/bin/env bash
# datasets 5.2: what the last line of a JSON Lines file becomes depends on whether 10 MiB stand before it.
#
# Expected: `load_dataset("json")` treats a line alike in a small file and in a large one.
# Seen 2026-11-28, datasets 5.2.0: a file is read in pieces of 10 MiB, and each is guessed at by itself. The last line is
# one of these, behind 100 or 11,000 lines of 1 kB:
#   - a number as text: the number 5 in a column of type Json, or the text '5' in a column of strings;
#   - a key that no line before had: a column more, or an error;
#   - an id that is no date, behind ids that are: a column of strings, or an error, since the first piece made the
#     column one of times.
# For an expanded vocabulary: a corpus that was tried as a sample can fail or change as a whole. Give `features=`, or read
# the text column with a fixed type.
#> datasets 5.2.0
#> number, 100 lines before: text Json, last 5
#> number, 11000 lines before: text string, last '5'
#> late key, 100 lines before: text string, late int64, last 'b'
#> late key, 11000 lines before: error
#> not a date, 100 lines before: id string, text string, last 'b'
#> not a date, 11000 lines before: error
. "$(dirname "$0")/lib.sh"
environment env datasets==5.2.0

cat > probe.py <<'PYTHON'
import json
from importlib.metadata import version

import datasets

TEXT = "가" * 340
CASES = {
    "number": ({"text": TEXT}, {"text": 5}),
    "late key": ({"text": TEXT}, {"text": "b", "late": 1}),
    "not a date": ({"id": "2026-11-28", "text": TEXT}, {"id": "2026-11-28b", "text": "b"}),
}
datasets.disable_progress_bars()
datasets.logging.set_verbosity(datasets.logging.CRITICAL)
print("datasets", version("datasets"))
for name, (row, last) in CASES.items():
    for lines in (100, 11000):
        file = f"{name} {lines}.jsonl"
        with open(file, "w") as out:
            out.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in [row] * lines + [last])
        try:
            data = datasets.load_dataset("json", data_files=file, cache_dir=f"cache {file}", split="train")
        except datasets.exceptions.DatasetGenerationError:
            print(f"{name}, {lines} lines before: error")
            continue
        columns = (f"{key} {getattr(kind, 'dtype', None) or type(kind).__name__}" for key, kind in data.features.items())
        print(f"{name}, {lines} lines before: {', '.join(columns)}, last {data[-1]['text']!r}")
PYTHON
env/bin/python probe.py > seen
unchanged
