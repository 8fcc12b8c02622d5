"""Settings of evaluating: a number only, so that `--help` need not load what uses it."""

BYTES = 50_000
"""Of each source, by default: seconds of a small model on a CPU."""
