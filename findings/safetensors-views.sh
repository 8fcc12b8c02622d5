#!/usr/bin/env bash
# safetensors 0.8: NumPy arrays that are views are written with other values than they hold.
#
# Expected: as in 0.7.0, `safetensors.numpy.save_file` writes the values of the array; or, as its page asks for contiguous
# arrays, it raises, as `safetensors.torch` does.
# Seen 2026-11-28, safetensors 0.8.0, numpy 2.4.6: of a transposed array, of some columns, of every other row, and of an
# array in Fortran's order it writes the bytes as they lie in memory, with the view's shape. The file is well formed and
# loads without a word, with values in other places. A run of whole rows, which is contiguous, comes back right.
# For an expanded vocabulary: an embedding that was transposed, or of which columns or rows were picked by a slice, is
# scrambled on disk. `numpy.ascontiguousarray` before saving mends it; compare what was written with what was meant.
#> safetensors 0.7.0: right: whole, transposed, columns, every other row, last rows, Fortran; wrong: none
#> safetensors 0.8.0: right: whole, last rows; wrong: transposed, columns, every other row, Fortran
#> 4 x 3 transposed, first row: meant [0, 4, 8], read [0, 1, 2]
. "$(dirname "$0")/lib.sh"
environment old safetensors==0.7.0 numpy==2.4.6
environment new safetensors==0.8.0 numpy==2.4.6

cat > probe.py <<'PYTHON'
from importlib.metadata import version

import numpy
from safetensors.numpy import load_file, save_file

table = numpy.arange(12, dtype=numpy.float32).reshape(3, 4)
arrays = {
    "whole": table, "transposed": table.T, "columns": table[:, :2], "every other row": table[::2],
    "last rows": table[1:], "Fortran": numpy.asfortranarray(table),
}
save_file(arrays, "model.safetensors")
read = load_file("model.safetensors")
good = [name for name, array in arrays.items() if (read[name] == array).all()]
bad = [name for name in arrays if name not in good]
print(f"safetensors {version('safetensors')}: right: {', '.join(good)}; wrong: {', '.join(bad) or 'none'}")
if bad:
    meant, got = ([int(x) for x in table[0]] for table in (arrays["transposed"], read["transposed"]))
    print(f"4 x 3 transposed, first row: meant {meant}, read {got}")
PYTHON
for python in old new; do $python/bin/python probe.py; done > seen
unchanged
