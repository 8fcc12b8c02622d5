#!/usr/bin/env bash
# polars takes text that begins with `x^` for a compressed stream, whatever the file is called.
#
# Expected: a file named .csv or .txt is text, and what cannot be read is an error.
# Seen 2026-11-28, polars 2.1.0: the first two bytes alone decide, and `x^`, two letters that text may begin with, are the
# beginning of a zlib stream too. From a file, from bytes, eager and lazy:
#   - a table whose first column is `x^2` cannot be read, the error speaks of a deflate stream;
#   - a short text gives one row of other characters than the file has, and no error at all;
#   - one space or quote before it, and the same text is read.
# There is no setting to say that a file is not compressed. Python's csv reads all of it.
# For an expanded vocabulary: a corpus of mathematics loses whole files, some of them in silence; whoever reads text by
# polars looks at the first two bytes before.
#> polars 2.1.0
#> 'x^2,y\n1,2\n': read_csv OSError: corrupt deflate stream; scan_lines OSError: corrupt deflate stream; Python's csv 2 rows
#> 'x^2\nabc\n': read_csv 1 rows; scan_lines ['2T\x02\x06\x02']; Python's csv 2 rows
#> ' x^2\nabc\n': read_csv 2 rows; scan_lines [' x^2', 'abc']; Python's csv 2 rows
#> '"x^2"\nabc\n': read_csv 2 rows; scan_lines ['"x^2"', 'abc']; Python's csv 2 rows
. "$(dirname "$0")/lib.sh"
environment env polars==2.1.0

cat > probe.py <<'PYTHON'
import csv
from pathlib import Path

import polars


def read(reader, *arguments, **settings):
    try:
        return f"{reader(*arguments, **settings).height} rows"
    except (OSError, polars.exceptions.PolarsError) as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0]}"


def lines(path):
    try:
        return polars.scan_lines(path).collect().to_series().to_list()
    except OSError as error:
        return f"OSError: {str(error).splitlines()[0]}"


print(f"polars {polars.__version__}")
path = Path("corpus.csv")
for text in ("x^2,y\n1,2\n", "x^2\nabc\n", " x^2\nabc\n", '"x^2"\nabc\n'):
    path.write_text(text)
    seen = read(polars.read_csv, path, has_header=False)
    assert seen == read(polars.read_csv, text.encode(), has_header=False)
    assert seen == read(lambda path: polars.scan_csv(path, has_header=False).collect(), path)
    with path.open(newline="") as rows:
        count = len(list(csv.reader(rows)))
    print(f"{text!r}: read_csv {seen}; scan_lines {lines(path)}; Python's csv {count} rows")
PYTHON
env/bin/python probe.py > seen
unchanged
