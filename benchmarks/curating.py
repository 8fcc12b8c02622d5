"""How long a person waits for the page of `kovocab curate`, at 4,000 and at 40,000 candidates.

    python benchmarks/curating.py [--candidates 4000 40000] [--rounds 3] [--chromium PATH]

Each row is one size, the median of rounds, each with a server and a browser of its own, on the generated text of
the quickstart: from the command to its address; from the address to a page that takes keys; from a letter in the search
field to the rows that have it, and back to all; from a press to the cursor on the next row, the median and the worst of
200 one after the other, with the time until the browser has drawn it; and from 50 presses at once until the page
says that they are saved.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from kovocab.cli.main import main as kovocab
from setting import BASE, check_build

FILTER = """text => new Promise(done => {
    const field = document.querySelector("#search"), begun = performance.now()
    field.value = text
    field.dispatchEvent(new Event("input"))
    requestAnimationFrame(() => setTimeout(() => done(performance.now() - begun)))
})"""
PRESSES = """async times => {
    const taken = []
    for (let at = 0; at < times; at++) {
        const begun = performance.now()
        document.activeElement.dispatchEvent(new KeyboardEvent("keydown", {code: "KeyK", bubbles: true}))
        await new Promise(done => requestAnimationFrame(() => setTimeout(done)))
        taken.push(performance.now() - begun)
    }
    return taken
}"""
QUICK = """times => new Promise(done => {
    const begun = performance.now()
    for (let at = 0; at < times; at++)
        document.activeElement.dispatchEvent(new KeyboardEvent("keydown", {code: "KeyD", bubbles: true}))
    const shown = performance.now() - begun
    const look = () => document.querySelector("#saved").dataset.unsaved === "0"
        ? done([shown, performance.now() - begun]) : setTimeout(look, 2)
    look()
})"""


def refined(place: Path, candidates: int) -> None:
    """The quickstart's example, as far as refine, of so many candidates."""
    refine = ["refine", "--words", place / "words.parquet", "--base", BASE, "--out", place / "tokenizer"]
    for args in (
        ["sample", "--out", place / "ko.txt", "--megabytes", "2", "--language", "ko"],
        ["count", "--corpus", place / "ko.txt", "--tokenizer", BASE, "--out", place / "words.parquet"],
        [*refine, "--min_count", "20", "--min_syllable_count", "20", "--intermediate_vocab_size", candidates],
    ):
        if code := kovocab([str(arg) for arg in args]):
            raise SystemExit(code)


def timed(place: Path, browser: Browser) -> dict[str, float]:
    """One round: what a person waits for, in seconds, but presses in milliseconds."""
    decisions = place / "decisions.csv"
    decisions.unlink(missing_ok=True)
    command = [sys.executable, "-m", "kovocab", "curate", place / "tokenizer", "--words", place / "words.parquet"]
    command += ["--base", BASE, "--corpus", place / "ko.txt", "--decisions", decisions, "--port", "0"]
    begun = time.perf_counter()
    server = subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, text=True)
    page: Page = browser.new_page(viewport={"width": 1280, "height": 820})
    try:
        assert server.stdout is not None
        server.stdout.readline()
        address = server.stdout.readline().strip()
        took = {"address": time.perf_counter() - begun}
        begun = time.perf_counter()
        page.goto(address)
        page.wait_for_selector("body[data-ready]")
        took["ready"] = time.perf_counter() - begun
        took["filter"] = page.evaluate(FILTER, "니") / 1000
        took["all again"] = page.evaluate(FILTER, "") / 1000
        page.keyboard.press("Home")
        presses = page.evaluate(PRESSES, 200)
        took["press, ms"], took["worst, ms"] = statistics.median(presses), max(presses)
        took["50 shown"], took["50 saved"] = (spent / 1000 for spent in page.evaluate(QUICK, 50))
    finally:
        page.close()
        server.terminate()
        server.wait()
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=int, nargs="+", default=[4_000, 40_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    given = parser.parse_args()
    check_build()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=given.chromium, args=["--no-sandbox"])
        for at, candidates in enumerate(given.candidates):
            with tempfile.TemporaryDirectory() as folder:
                place = Path(folder)
                refined(place, candidates)
                rounds = [timed(place, browser) for _ in range(given.rounds)]
            if not at:
                print("| candidates |", " | ".join(rounds[0]), "|")
                print("|--:|" + "--:|" * len(rounds[0]))
            medians = (statistics.median(took[name] for took in rounds) for name in rounds[0])
            print(f"| {candidates:,} |", " | ".join(f"{value:.3f}" for value in medians), "|")
        browser.close()


if __name__ == "__main__":
    main()
