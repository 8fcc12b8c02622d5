"""`kovocab coverage`: how often the planned run will see each new token, told before it begins."""

import json
import sys
from pathlib import Path

from kovocab.artefact import check_file, check_table, mark, new_file
from kovocab.data.coverage import Coverage, coverage
from kovocab.ownership import parquet_of
from kovocab.planning.forecast import forecast
from kovocab.planning.setup import devices_of
from kovocab.record import Record
from kovocab.run.configuration import Configuration
from kovocab.run.stage_plan import planned, stage_plans

OUT = "file of coverage"
SHOWN = 5
"""How many of the tokens that fall short are named."""


def tell_coverage(configuration: Configuration) -> None:
    """Pack what is not packed, work out the bias, and print what the run will see of the new tokens.

    Raises:
        KovocabError: what the user got wrong, as `fit` would say it.
    """
    config = configuration.config
    if config.out is not None:
        check_file(config.out, parquet_of("coverage"), OUT)
    trainer = config.trainer.clone()
    # Their classes would look for devices, servers and packages, and this needs none.
    for key, unset in {"strategy": "auto", **dict.fromkeys(("logger", "callbacks", "plugins", "profiler"))}.items():
        config.trainer[key] = unset
    _, data = configuration.build()
    given = configuration.config_init
    blocks = data.batch_size * devices_of(trainer) * trainer.accumulate_grad_batches
    stages = stage_plans(given.schedule, given.stages, given.defaults, blocks * data.packing.length)
    run = planned(stages, blocks)
    data.plan(run)
    for line in forecast(data, config.model.model):
        print(line, file=sys.stderr)
    made_from: Record = {"data": data.identity(), "stages": [list(stage) for stage in run]}
    if config.out is not None:
        check_table(config.out, "coverage", OUT, made_from, overwrite=config.overwrite)
    data.prepare_data()
    data.setup("fit")
    found = coverage(data)
    distilling = []
    for stage in (stage for stage in stages if data.distills(stage.number)):
        data.enter(stage.number)
        served = data.served(stage.steps * blocks)["sources"].values()
        distilling.append({"stage": stage.number, "epochs": max(each["epochs"] for each in served)})
    if config.out is not None:
        with new_file(config.out) as beside:
            found.tokens.write_parquet(beside, metadata=mark("coverage", made_from))
    if config.log == "json":
        print(json.dumps({"sources": found.sources, **found.summary(), "distilling": distilling}))
        return
    print(_table(found, distilling))
    if config.out is not None:
        print(Path(config.out))


def _table(found: Coverage, distilling: list[Record]) -> str:
    lines = [
        f"{'source':<20} {'tokens':>15} {'of the run':>15} {'share':>8} {'passes':>8} {'min_seen':>9} {'at most':>8} "
        f"{'moved':>7}"
    ]
    for each in found.sources:
        bias = "" if "level" not in each else f" {each['min_seen']:>9,} {each['most']:>8} {each['moved']:>7.1%}"
        lines.append(
            f"{each['name']:<20} {each['tokens']:>15,} {each['budget']:>15,} {each['share']:>8.2%} "
            f"{each['passes']:>8.3f}{bias}"
        )
    said = found.summary()
    lines.append(f"\n{said['new_tokens']:,} new tokens, seen over the run:")
    lines.append(f"{'':<14} {'least':>12} {'10 %':>12} {'half':>12} {'never':>8}")
    for name in ("without", "with"):
        row = said[name]
        lines.append(
            f"{name + ' bias':<14} {row['least']:>12,.1f} {row['tenth']:>12,.1f} {row['half']:>12,.1f} "
            f"{row['never']:>8,}"
        )
    if said["least_tenth"] is not None:
        lines.append(
            f"the least seen tenth of what is there: {said['least_tenth']:.2f} times as often as without a bias"
        )
    if said["most_seen_share_without"] is not None:
        lines.append(
            f"the most seen hundredth: {said['most_seen_share_without']:.2%} of what is seen of new tokens without, "
            f"{said['most_seen_share_with']:.2%} with"
        )
    why = {
        "absent": "are in no document that is trained on",
        "passes": "are seen less than min_seen times, though read as often as max_passes allows",
    }
    for short, count in said["short"].items():
        named = found.tokens.filter(found.tokens["short"] == short).sort("seen", "id")["token"].head(SHOWN).to_list()
        lines.append(f"{count:,} {why[short]}: {', '.join(map(repr, named))}{', …' if count > SHOWN else ''}")
    for stage in distilling:
        contexts = found.tokens["contexts"].to_numpy()
        lines.append(
            f"stage {stage['stage']} distills {int(contexts.sum()):,} contexts, {int(contexts.min())} to "
            f"{int(contexts.max())} of each new token, and reads them {stage['epochs']:.2f} times"
        )
    return "\n".join(lines)
