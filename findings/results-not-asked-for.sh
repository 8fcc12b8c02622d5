#!/usr/bin/env bash
# ray: a task of eight results that raises is told of seven times more, though its error was raised where it was asked for.
#
# Expected: an error that `ray.get` has raised is handled. Only the error of a task that nobody asked for is logged as
# unhandled, once for the task.
# Seen 2026-11-30, Ray 2.60.0: each result of the task has the error for itself, and `ray.get` of all eight together
# looks at the first that failed: the other seven are logged as unhandled, each with the traceback, when they go. Waited
# for with `ray.wait` and asked for by nobody, none is logged.
# For an expanded vocabulary: a count over a cluster leaves a result for each part of the words, so a faulty line of the
# corpus is told once and then a hundred times. Give what failed back as a value, or ask for each result.
#> ray 2.60.0
#> all together: raised, then 7 logged as unhandled, in 28 lines
#> the first alone: raised, then 7 logged as unhandled, in 28 lines
#> each: raised, then 0 logged as unhandled, in 0 lines
#> none, after ray.wait: not raised, then 0 logged as unhandled, in 0 lines
#> none, after a second: not raised, then 8 logged as unhandled, in 32 lines
. "$(dirname "$0")/lib.sh"
environment with-ray ray==2.60.0

cat > probe.py <<'PYTHON'
import gc
import logging
import time

import ray

told = []


class Told(logging.Handler):
    def emit(self, record):
        told.append(record.getMessage())


def fail():
    raise ValueError("no")


def one_by_one(results):
    errors = []
    for result in results:
        try:
            ray.get(result)
        except ValueError as error:
            errors.append(error)
    raise errors[0]


ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
logging.getLogger("ray").addHandler(Told())
print("ray", ray.__version__)
ways = {
    "all together": ray.get,
    "the first alone": lambda results: ray.get(results[0]),
    "each": one_by_one,
    "none, after ray.wait": lambda results: ray.wait(results, num_returns=len(results)),
    "none, after a second": lambda results: time.sleep(1),
}
for way, ask in ways.items():
    results = ray.remote(fail).options(num_returns=8).remote()
    raised = "not raised"
    try:
        ask(results)
    except ValueError:
        raised = "raised"
    told.clear()
    del results
    gc.collect()
    time.sleep(3)  # they are logged by another thread
    logged = [text for text in told if text.startswith("Unhandled error")]
    lines = sum(len(text.splitlines()) for text in logged)
    print(f"{way}: {raised}, then {len(logged)} logged as unhandled, in {lines} lines")
PYTHON
# A short folder for its sockets, and no token of its own in the home folder.
export RAY_USAGE_STATS_ENABLED=0 RAY_AUTH_MODE=disabled TMPDIR=$folder
with-ray/bin/python probe.py > seen 2> errors || { cat errors >&2; exit 1; }
unchanged
