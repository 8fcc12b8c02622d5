#!/usr/bin/env bash
# transformers: a config.json saved by version 5 has another rope for version 4, in silence.
#
# Expected: what one major version saves the one before reads alike, or refuses.
# Seen 2026-11-28, transformers 5.23.0 writing and 4.57.6 reading: version 5 writes `rope_parameters`, which version 4
# takes for a key that it does not know, and `dtype` for `torch_dtype`. Of rope_theta 1,000,000 with yarn of factor 4
# version 4 makes its default of 10,000 and no scaling; for Phi the share of each head that is turned becomes its default,
# 0.5 for 0.4. There is no warning.
# For an expanded model: write both spellings (`rope_theta`, `rope_scaling`, `partial_rotary_factor` beside
# `rope_parameters`); each version takes its own.
#> written by 5.23.0
#> read by 5.23.0
#> llama: {"factor": 4.0, "original_max_position_embeddings": 2048, "rope_theta": 1000000.0, "rope_type": "yarn"}
#> phi: {"partial_rotary_factor": 0.4, "rope_theta": 1000000.0, "rope_type": "default"}
#> read by 4.57.6
#> llama: rope_theta 10000.0, rope_scaling None, share None
#> phi: rope_theta 10000.0, rope_scaling None, share 0.5
. "$(dirname "$0")/lib.sh"
environment new transformers==5.23.0
environment old transformers==4.57.6

cat > write.py <<'PYTHON'
from transformers import LlamaConfig, PhiConfig, __version__

print("written by", __version__)
yarn = {"rope_type": "yarn", "rope_theta": 1e6, "factor": 4.0, "original_max_position_embeddings": 2048}
LlamaConfig(rope_parameters=yarn, dtype="bfloat16").save_pretrained("llama")
PhiConfig(rope_parameters={"rope_type": "default", "rope_theta": 1e6, "partial_rotary_factor": 0.4}).save_pretrained("phi")
PYTHON

cat > read.py <<'PYTHON'
import json

from transformers import AutoConfig, __version__

print("read by", __version__)
for name in ("llama", "phi"):
    config = AutoConfig.from_pretrained(name)
    if __version__.startswith("5"):
        print(f"{name}: {json.dumps(config.rope_parameters, sort_keys=True)}")
    else:
        share = getattr(config, "partial_rotary_factor", None)
        print(f"{name}: rope_theta {config.rope_theta}, rope_scaling {config.rope_scaling}, share {share}")
PYTHON
new/bin/python write.py > seen
new/bin/python read.py >> seen
old/bin/python read.py >> seen 2>&1
unchanged
