"""Attacks `kovocab` processes and tells what held: `make attack`, ten minutes; `docs/reliability.md` has the table.

Every process is forked from one that has loaded all that verbs load and done nothing, so that it works from its first
moment. What an attack does is decided by its name and number: `--only 'kill refine' --rounds 9` does the first nine.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from random import Random

import torch

from kovocab.cli.main import main as kovocab
from kovocab.counting import one_pass
from kovocab.counting.resume import Done, Kept
from kovocab.fitting import fit  # noqa: F401 - loaded once, for all that are forked
from kovocab.reading import blocks
from support.street import REFINE, walk

SECONDS = 120  # that a verb may take: more is a hang
TEXT = ("count", "combine", "refine", "sample")
VERBS = {
    "count": "--corpus {street}/ko.txt --tokenizer {street}/base --out {out}/made.parquet",
    "combine": "--words {street}/words.parquet --out {out}/made.parquet",
    "refine": "--words {street}/words.parquet --base {street}/base --out {out}/made " + REFINE,
    "expand": "--model {street}/base --tokenizer {street}/tokenizer --out {out}/made",
    "fit": "--config {street}/fit.yaml --data.tokens_dir {out}/tokens --run {out}/made",
    "export": "--stage {street}/run --out {out}/made",
    "sample": "--out {out}/made.jsonl --megabytes 2",
}
READS = {
    "combine": ["words.parquet"],
    "refine": ["words.parquet", "base/tokenizer.json"],
    "expand": [
        "tokenizer/tokenizer.json",
        "tokenizer/vocabulary.parquet",
        "tokenizer/kovocab.json",
        "base/model.safetensors",
    ],
    "fit": ["expanded/model.safetensors", "expanded/kovocab.json", "expanded/tokenizer.json", "expanded/config.json"],
    "export": ["run/stages/1/model.safetensors", "run/stages/1/kovocab.json", "run/stages/1/config.json"],
}
"""What a verb reads of the artefacts before it, and has to find whole."""


@dataclass
class Ended:
    """How a process ended."""

    code: int
    said: str

    @property
    def in_one_line(self) -> bool:
        """Whether it failed and said so, in a last line of its own and without a traceback."""
        lines = self.said.strip().splitlines()
        spoiled = any(word in self.said for word in ("Traceback", "panicked", "stack backtrace"))
        return self.code in (1, 2) and bool(lines) and lines[-1].startswith("kovocab ") and not spoiled


@dataclass
class Row:
    """An attack, and what came of it."""

    times: int = 0
    faults: list[str] = field(default_factory=list)


class Attacks:
    """The street that is attacked, and what each verb makes of it undisturbed."""

    def __init__(self, place: Path) -> None:
        self.place, self.street = place, place / "street"
        self.ended(self.begun(lambda: walk(self.street) or 0))
        self.others = place / "others"
        shutil.copytree(self.street, self.others)
        other = VERBS["refine"].format(street=self.others, out=self.others).replace("/made", "/tokenizer")
        other += " --overwrite true --min_count 60 --min_syllable_count 60"
        self.ended(self.begun(lambda: kovocab(["refine", *other.split()])))
        self.whole: dict[str, dict[str, str]] = {}
        self.seconds: dict[str, float] = {}
        for verb in VERBS:
            out = self.fresh()
            begun = time.monotonic()
            ended = self.run(verb, out)
            assert ended.code == 0, ended
            self.seconds[verb], self.whole[verb] = time.monotonic() - begun, contents(out)

    def fresh(self) -> Path:
        """An empty folder to write in."""
        return Path(tempfile.mkdtemp(prefix="out-", dir=self.place))

    def begun(self, work: Callable[[], int]) -> tuple[int, Path]:
        """A process that works, and the file of what it says."""
        said = Path(tempfile.mkstemp(dir=self.place)[1])
        sys.stdout.flush()
        if pid := os.fork():
            return pid, said
        code = 70
        try:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
            target = os.open(said, os.O_WRONLY)
            os.dup2(target, 1)
            os.dup2(target, 2)
            torch.set_num_threads(1)
            code = work()
            sys.stdout.flush()
            sys.stderr.flush()
        except BaseException:
            import traceback

            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(code)

    def verb(self, verb: str, out: Path, street: Path | None = None) -> tuple[int, Path]:
        """A process that runs a verb."""
        line = [verb, *VERBS[verb].format(street=street or self.street, out=out).split()]
        return self.begun(lambda: kovocab(line))

    def ended(self, process: tuple[int, Path]) -> Ended:
        """Wait for a process; one that hangs is killed, and told."""
        pid, said = process
        until = time.monotonic() + SECONDS
        while (found := os.waitpid(pid, os.WNOHANG)) == (0, 0):
            if time.monotonic() > until:
                os.kill(pid, signal.SIGKILL)
                return Ended(-int(signal.SIGALRM), f"hung for {SECONDS} s")
            time.sleep(0.005)
        text = said.read_text(errors="replace")
        said.unlink()
        return Ended(os.waitstatus_to_exitcode(found[1]), text)

    def run(self, verb: str, out: Path, street: Path | None = None) -> Ended:
        """Run a verb to its end."""
        return self.ended(self.verb(verb, out, street))

    # ── the attacks: each gives what did not hold, or nothing ──

    def kill(self, verb: str, draw: Random) -> Iterator[str]:
        """SIGKILL at any moment, and the same command again."""
        out = self.fresh()
        process = self.verb(verb, out)
        time.sleep(draw.random() * self.seconds[verb])
        os.kill(process[0], signal.SIGKILL)
        self.ended(process)
        yield from self.again(verb, out)

    def stop(self, verb: str, draw: Random) -> Iterator[str]:
        """SIGTERM or SIGHUP at any moment: a line and its exit code, nothing left, and the same command again."""
        out = self.fresh()
        number, code = draw.choice(((signal.SIGTERM, 143), (signal.SIGHUP, 129)))
        process = self.verb(verb, out)
        time.sleep(0.05 + draw.random() * self.seconds[verb])
        os.kill(process[0], number)
        ended = self.ended(process)
        if ended.code not in (code, 0):
            yield f"exit code {ended.code} after {number.name}, not {code}: {ended.said[-200:]}"
        if ended.code == 0 and contents(out) != self.whole[verb]:
            yield f"ended well in spite of {number.name}, and wrote something else"
        if "Traceback" in ended.said:
            yield f"a traceback after {number.name}: {ended.said[-300:]}"
        if verb != "fit" and ended.code and (left := sorted(contents(out))):
            yield f"left after {number.name}: {left[:3]}"
        yield from self.again(verb, out)

    def twice(self, verb: str, draw: Random) -> Iterator[str]:
        """The same command twice at once, one some moments later: the right result, and each ends well or says why."""
        out = self.fresh()
        first = self.verb(verb, out)
        time.sleep(draw.random() * self.seconds[verb])
        both = (self.ended(self.verb(verb, out)), self.ended(first))
        for ended in both:
            if ended.code and not ended.in_one_line:
                yield f"exit code {ended.code}: {ended.said[-300:]}"
        if any(ended.code == 0 for ended in both) and contents(out) != self.whole[verb]:
            yield "ended well, and wrote something else"
        yield from self.again(verb, out)

    def full(self, verb: str, draw: Random) -> Iterator[str]:
        """A disk of any size up to a little more than is needed: a line that says so and nothing left, or all."""
        out = self.fresh()
        size = max(4096, int(draw.random() * 1.3 * self.size(verb)) // 4096 * 4096)
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(out)]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            yield "a small disk cannot be mounted here"
            return
        try:
            ended = self.run(verb, out)
            if ended.code == 0 and contents(out) != self.whole[verb]:
                yield f"ended well on {size} bytes, and wrote something else"
            if ended.code and not (ended.in_one_line and "No space left" in ended.said):
                yield f"exit code {ended.code} on {size} bytes: {ended.said[-300:]}"
            if verb != "fit" and ended.code and (left := sorted(contents(out))):
                yield f"left on a disk of {size} bytes: {left[:3]}"
        finally:
            subprocess.run(["umount", str(out)], check=True)

    def damage(self, verb: str, draw: Random) -> Iterator[str]:
        """A byte flipped, the end cut off, or another artefact's file there: a line that names it, or all right."""
        name = draw.choice(READS[verb])
        street = self.fresh() / "street"
        shutil.copytree(self.street, street)
        config = street / "fit.yaml"
        config.write_text(config.read_text().replace(str(self.street), str(street)))
        path = street / name
        data = bytearray(path.read_bytes())
        how = draw.choice(("flip", "flip", "cut", "swap"))
        if how == "swap":
            shutil.copyfile(self.others / name, path)
        elif how == "cut":
            path.write_bytes(data[: draw.randrange(len(data))])
        else:
            data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
            path.write_bytes(data)
        out = self.fresh()
        ended = self.run(verb, out, street)
        what = f"{how} of {name}"
        if ended.code == 0:
            # Records tell where things lay, and free words of records that are not checked go on into others.
            found, whole = contents(out), self.whole[verb]
            differ = [n for n in whole if found.get(n) != whole[n] and not n.endswith("kovocab.json")]
            differ = [n for n in differ if not n.startswith("tokens/")]
            told = f"{path.name} is not as" in ended.said  # people edit a config.json, which is used and told
            if path.read_bytes() != (self.street / name).read_bytes() and differ and not told:
                yield f"{what}: ended well, with other bytes in {differ[:3]}"
        elif not ended.in_one_line:
            yield f"{what}: exit code {ended.code}: {ended.said[-300:]}"
        elif path.name not in ended.said and str(path.parent) not in ended.said:
            yield f"{what}: does not name it: {ended.said[-300:]}"
        if ended.code and verb != "fit" and (left := sorted(contents(out))):
            yield f"{what}: left {left[:3]}"

    def kept(self, verb: str, draw: Random) -> Iterator[str]:
        """Stopped, a byte of what it keeps flipped, and the same command again: a line that names it, or all right.

        Of `fit` the token files, their record and the memo; of `count` its progress and what it spilled.
        """
        out = self.fresh()
        if verb == "count":
            process = self.begun(lambda: stopped_count(VERBS[verb].format(street=self.street, out=out)))
            name = draw.choice((".made.parquet.counting/*.words", ".made.parquet.counting/progress.json"))
        else:
            process = self.verb(verb, out)
            time.sleep((0.5 + 0.5 * draw.random()) * self.seconds[verb])
            os.kill(process[0], signal.SIGKILL)
            name = draw.choice(("tokens/*/train.bin", "tokens/*/kovocab.json", "tokens/**/.contents.json"))
        self.ended(process)
        paths = [path for path in sorted(out.glob(name)) if path.stat().st_size]
        if not paths:
            yield f"nothing was kept as {name}"
            return
        path = draw.choice(paths)
        data = bytearray(path.read_bytes())
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        path.write_bytes(data)
        ended = self.run(verb, out)
        what = f"flip in {path.relative_to(out)}"
        if ended.code == 0:
            found, whole = contents(out), self.whole[verb]
            if differ := [n for n in whole if found.get(n) != whole[n] and not (out / n).samefile(path)]:
                yield f"{what}: ended well, with other bytes in {differ[:3]}"
        elif not ended.in_one_line:
            yield f"{what}: exit code {ended.code}: {ended.said[-300:]}"
        elif path.name not in ended.said and str(path.parent) not in ended.said:
            yield f"{what}: does not name it: {ended.said[-300:]}"

    def link(self, verb: str, draw: Random) -> Iterator[str]:
        """`--out` is a symbolic link: what it points to is written, and the link stays."""
        out, target = self.fresh(), self.fresh()
        made = {"count": "made.parquet", "combine": "made.parquet", "sample": "made.jsonl"}.get(verb, "made")
        (out / made).symlink_to(target / made)
        if "." not in made and draw.random() < 0.5:  # to an empty folder, or to nothing yet
            (target / made).mkdir()
        ended = self.run(verb, out)
        if ended.code:
            yield f"exit code {ended.code}: {ended.said[-300:]}"
            return
        if not (out / made).is_symlink():
            yield "the link was replaced"
        found = contents(target)
        own = {name: hash_ for name, hash_ in self.whole[verb].items() if name.partition("/")[0] == made}
        if differ := sorted(name for name in own if found.get(name) != own[name]):
            yield f"other bytes in {differ[:3]}"

    def again(self, verb: str, out: Path) -> Iterator[str]:
        """The same command again: it ends well, and what is there is what an undisturbed run leaves, and no more."""
        ended = self.run(verb, out)
        if ended.code:
            yield f"again: exit code {ended.code}: {ended.said[-300:]}"
            return
        found, whole = contents(out), self.whole[verb]
        if more := sorted(found.keys() - whole.keys()):
            yield f"again: left over {more[:3]}"
        if differ := sorted(name for name in whole if found.get(name) != whole[name]):
            yield f"again: other bytes in {differ[:3]}"

    def size(self, verb: str) -> int:
        """Bytes, about, that a verb writes."""
        return {"count": 40_000, "combine": 40_000, "refine": 120_000, "expand": 400_000, "fit": 1_500_000}.get(
            verb, 400_000
        )


def stopped_count(line: str) -> int:
    """Count, keeping progress with every batch, and die after some."""
    keep, kept = Kept.keep, 0

    def dies(self: Kept, done: Done, parts: Mapping[str, int]) -> None:
        nonlocal kept
        keep(self, done, parts)
        kept += 1
        if kept == 2:
            os.kill(os.getpid(), signal.SIGKILL)

    one_pass.EVERY, one_pass._WORTH, one_pass.BATCH_SIZE, blocks.BLOCK = 0.0, 0, 20_000, 20_000
    Kept.keep = dies  # type: ignore[method-assign]
    return kovocab(["count", *line.split()])


def contents(folder: Path) -> dict[str, str]:
    """The files below a folder, hidden ones too, with a hash of each, but for those that tell times."""
    aside = {"logs", "tensorboard", "csv", ".contents.json"}
    files = [path for path in folder.rglob("*") if path.is_file() and not aside & {*path.parts}]
    return {path.relative_to(folder).as_posix(): blake2b(path.read_bytes()).hexdigest() for path in files}


ATTACKS = {
    "kill": (VERBS, 12, 4),
    "stop": (VERBS, 8, 3),
    "twice": (VERBS, 4, 2),
    "full": (VERBS, 8, 4),
    "damage": (READS, 16, 12),
    "kept": (("count", "fit"), 8, 6),
    "link": (VERBS, 2, 2),
}
"""Of each attack: the verbs, and how often it is made on a verb of the text half and on another."""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", default="", help="attacks that begin so: `kill`, `damage expand`")
    parser.add_argument("--rounds", type=int, help="how often each is made")
    parser.add_argument("--minutes", type=float, default=10, help="after which no new attack is begun")
    given = parser.parse_args()
    until = time.monotonic() + given.minutes * 60
    rows: dict[str, Row] = {}
    with tempfile.TemporaryDirectory(prefix="attack-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as place:
        attacks = Attacks(Path(place))
        most = given.rounds or max(often for _, often, _ in ATTACKS.values())
        for number in range(most):
            for attack, (verbs, text, other) in ATTACKS.items():
                for verb in verbs:
                    name = f"{attack} {verb}"
                    often = given.rounds or (text if verb in TEXT else other)
                    if number >= often or not name.startswith(given.only) or time.monotonic() > until:
                        continue
                    row = rows.setdefault(name, Row())
                    row.times += 1
                    faults = list(getattr(attacks, attack)(verb, Random(f"{name} {number}")))
                    if faults:
                        row.faults.append(faults[0])
                        print(f"{name} {number}: {'; '.join(faults)}", file=sys.stderr, flush=True)
                    for left in Path(place).glob("out-*"):
                        shutil.rmtree(left, ignore_errors=True)
    print("| attack | times | held | first that did not |\n|---|--:|--:|---|")
    for name, row in sorted(rows.items()):
        first = " ".join(row.faults[0].split())[-160:].replace("|", "\\|") if row.faults else ""
        print(f"| {name} | {row.times} | {row.times - len(row.faults)} | {first} |")
    times, faults = sum(row.times for row in rows.values()), sum(len(row.faults) for row in rows.values())
    print(f"\n{times} attacks, {faults} did not hold")
    return int(any(row.faults for row in rows.values()))


if __name__ == "__main__":
    sys.exit(main())
