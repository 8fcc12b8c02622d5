"""What a stranger meets who installs the wheel and nothing else: `python installed.py README.md`, in an empty folder.

Run by `make test-install`, and by the release on each system. The standard library alone is used.
"""

import subprocess
import sys
import sysconfig
from importlib.metadata import requires, version
from importlib.util import find_spec
from pathlib import Path

TEXT = ["count", "combine", "refine", "thresholds", "evaluate", "pack", "sample"]
TRAINING = [
    "expand --model base --tokenizer tokenizer --out expanded",
    "transfer --base base --adapted base --instruct base --out instruct",
    "export --stage . --out export",
    "fit",
    "plan",
]


def kovocab(*args: str) -> subprocess.CompletedProcess[str]:
    command = Path(sysconfig.get_path("scripts")) / "kovocab"
    return subprocess.run([command, *args], capture_output=True, text=True, encoding="utf-8", check=False)


def check(held: bool, what: object) -> None:
    if not held:
        sys.exit(f"does not hold: {what}")


def main(readme: Path) -> None:
    import kovocab as package

    where, site = Path(package.__file__).resolve(), Path(sysconfig.get_path("purelib")).resolve()
    check(site in where.parents, f"{where} is in {site}")
    needed = {line.split(">")[0] for line in requires("kovocab") or [] if "extra ==" not in line}
    check(needed >= {"polars", "tokenizers"} and not needed & {"torch", "transformers", "lightning"}, needed)
    check(find_spec("torch") is None, "torch is not installed")

    exec(compile(readme.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0], str(readme), "exec"), {})

    check(kovocab("--version").stdout.strip() == version("kovocab"), "--version")
    overview = kovocab("--help")
    check(overview.returncode == 0 and not overview.stderr, overview)
    for verb in TEXT:
        helped = kovocab(verb, "--help")
        check(helped.returncode == 0 and "--out" in helped.stdout, helped)
    for command in TRAINING:  # beside what the example left
        verb, *args = command.split()
        missing = kovocab(verb, *args)
        check(missing.returncode == 2 and "pip install 'kovocab[train]'" in missing.stderr, missing)
        check(len(missing.stderr.splitlines()) == 1 and verb in overview.stdout, missing)
    print(f"kovocab {version('kovocab')} works from {where.parent}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
