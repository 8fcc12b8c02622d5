"""The page in a real browser: 40,000 rows, keys with the Korean input method on, presses that come faster than answers,
kills, two tabs, hostile pages, and how it looks.

The pictures of `docs/curating.md` are written where KOVOCAB_PICTURES names a folder.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from typing import Any

import polars as pl
import pytest

from kovocab.refining.candidates import Decisions
from support import browsers

SIZES = [(1280, "light", "ko-KR"), (1280, "dark", "en-US"), (400, "light", "en-US"), (400, "dark", "ko-KR")]
READY = "body[data-ready]"
CURSOR = "document.querySelector('#table .is-cursor [tabulator-field=token]')?.textContent"
PRESS = """([codes, more]) => codes.forEach(code => document.activeElement.dispatchEvent(
    new KeyboardEvent("keydown", {code, bubbles: true, cancelable: true, ...more})))"""
SEEN = """(() => {
    const holder = document.querySelector('.tabulator-tableholder').getBoundingClientRect()
    const row = document.querySelector('#table .is-cursor')?.getBoundingClientRect()
    return row && row.top >= holder.top - 1 && row.bottom <= holder.bottom + 1
})()"""
TEXTS = "p, dt, dd, h1, h2, h3, b, kbd, small, button, output, .token, .tabulator-cell, .tabulator-col-title"


@pytest.fixture
def opened(browser: Any) -> Iterator[Callable[..., Any]]:
    """A function that opens an address in a tab, of a context of its own if none is given; nothing is complained of."""
    complaints: list[str] = []
    asked: set[str] = set()
    contexts = []

    def open_(address: str, context: Any = None, **settings: Any) -> Any:
        if context is None:
            context = browser.new_context(**{"viewport": {"width": 1280, "height": 820}, "locale": "ko-KR"} | settings)
            contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(240_000)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        # Of an answer that is a refusal the page says what is wrong.
        page.on(
            "console", lambda said: None if said.text.startswith("Failed to load") else complaints.append(said.text)
        )
        page.on("request", lambda request: asked.add(request.url.split("/")[2]))
        page.goto(address)
        page.wait_for_selector(READY, timeout=240_000)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert complaints == []
    assert all(host.startswith("127.0.0.1:") for host in asked)


def until(page: Any, holds: str, seconds: float = 240) -> None:
    """Wait until an expression holds; Playwright's own way is an `eval`, which the page forbids."""
    deadline = time.monotonic() + seconds
    while not page.evaluate(holds):
        assert time.monotonic() < deadline, holds
        page.wait_for_timeout(30)


def saved(page: Any) -> None:
    until(page, "document.querySelector('#saved').dataset.unsaved === '0'")


def rows_of(served: Any) -> pl.DataFrame:
    said = served.ask("/api/rows")[1]["rows"]
    return pl.DataFrame(
        {key: said[key] for key in ("token", "stem")} | {"goes": [len(one) for one in said["children"]]}
    )


def tokens(page: Any, number: int) -> list[str]:
    """The first rows as they are on the page."""
    found: list[str] = page.evaluate(
        "n => [...document.querySelectorAll('#table .tabulator-row [tabulator-field=token]')].slice(0, n)"
        ".map(cell => cell.textContent)",
        number,
    )
    return found


def decided(path: Path) -> dict[str, str]:
    found = Decisions.load(path)
    return dict.fromkeys(found.keep, "keep") | dict.fromkeys(found.drop, "drop")


def test_40_000_rows_are_ready(serve, opened) -> None:
    served = serve()
    page = opened(served.address)  # benchmarks/curating.py says how fast
    assert page.inner_text("#shown") == "{0:,}개 중 {0:,}개".format(rows_of(served).height)
    assert page.evaluate("document.querySelectorAll('.tabulator-row').length") < 200
    first = tokens(page, 30)
    for key in ("End", "PageUp", "PageDown", "Home", "PageDown", "ArrowUp"):
        page.keyboard.press(key)
        until(page, SEEN)
    page.keyboard.press("Home")
    until(page, SEEN)
    assert page.evaluate(CURSOR) == first[0]


def test_keys_are_places_and_none_while_composing(serve, opened) -> None:
    served = serve()
    page = opened(served.address)
    one, two, three = tokens(page, 3)
    # With the Korean input method on, K says ㅏ and D says ㅇ.
    page.evaluate(PRESS, [["KeyK"], {"key": "ㅏ"}])
    assert page.evaluate(CURSOR) == two
    page.evaluate(PRESS, [["KeyD"], {"key": "ㅇ"}])
    assert page.evaluate(CURSOR) == three
    page.evaluate(PRESS, [["KeyK", "KeyD", "KeyU"], {"key": "ㅏ", "isComposing": True}])
    page.evaluate(PRESS, [["KeyK", "KeyD", "KeyU"], {"key": "Process", "keyCode": 229}])
    page.evaluate(PRESS, [["KeyK", "KeyD"], {"key": "k", "ctrlKey": True}])
    saved(page)
    assert decided(served.decisions) == {one: "keep", two: "drop"}
    page.keyboard.press("u")
    page.keyboard.press("Control+z")
    page.keyboard.press("u")
    saved(page)
    assert decided(served.decisions) == {}
    assert page.evaluate(CURSOR) == one


def test_search_as_syllables_are_composed(serve, opened) -> None:
    """What is typed into a field decides nothing, and what is composed there filters at once."""
    served = serve()
    page = opened(served.address)
    page.keyboard.press("/")
    devtools = page.context.new_cdp_session(page)
    for composed in ("ㄱ", "그", "글"):
        devtools.send("Input.imeSetComposition", {"text": composed, "selectionStart": 1, "selectionEnd": 1})
    until(page, "[...document.querySelectorAll('#table .token')].every(one => one.textContent.includes('글'))")
    devtools.send("Input.insertText", {"text": "글"})
    page.keyboard.type("kd")
    page.keyboard.press("Backspace")
    page.keyboard.press("Backspace")
    found = tokens(page, 5)
    assert found
    assert all("글" in token for token in found)
    assert not served.decisions.exists()
    page.keyboard.press("Escape")
    page.keyboard.press("k")
    saved(page)
    assert set(decided(served.decisions).values()) == {"keep"}


def test_fifty_quick_presses(serve, opened) -> None:
    """The cursor moves before the server answers; it is slow, and fails now and then, and nothing is lost."""
    served = serve()
    page = opened(served.address)
    number = [0]

    def slow(route: Any) -> None:
        number[0] += 1
        time.sleep(0.2)
        if number[0] % 3 == 1:
            route.abort()
        else:
            route.continue_()

    page.route("**/api/decide", slow)
    order = rows_of(served)["token"][:51].to_list()
    codes = ["KeyK", "KeyD"] * 25
    page.evaluate(PRESS, [codes, {}])
    assert page.evaluate(CURSOR) == order[50]  # while the server has not answered
    assert int(page.evaluate("document.querySelector('#saved').dataset.unsaved")) > 0
    saved(page)
    assert number[0] > 1
    assert decided(served.decisions) == dict(zip(order, ["keep", "drop"] * 25, strict=False))
    # A hand on the keyboard, one after the other.
    for _ in range(50):
        page.keyboard.press("k")
    saved(page)
    assert len(decided(served.decisions)) == 100


def test_a_stem_is_decided_and_undone_at_once(serve, opened) -> None:
    served = serve()
    page = opened(served.address)
    rows = rows_of(served)
    stem = rows.group_by("stem", maintain_order=True).len().filter(pl.col("len").is_between(3, 20))["stem"][0]
    group = rows.filter(pl.col("stem") == stem)
    page.fill("#search", group["token"][0])
    page.keyboard.press("Escape")
    until(page, f"{CURSOR} === {group['token'][0]!r}")
    if goes := group["goes"][0]:
        assert f"버리면 {goes:,}개가 함께 빠집니다" in page.inner_text("#detail")
        assert f"{goes:,}개" in page.inner_text("#hints")
    page.keyboard.press("Shift+D")
    saved(page)
    assert decided(served.decisions) == dict.fromkeys(group["token"], "drop")
    page.keyboard.press("z")
    saved(page)
    assert decided(served.decisions) == {}


def test_a_killed_server_loses_nothing(serve, opened) -> None:
    served = serve()
    page = opened(served.address)
    order = tokens(page, 8)
    for _ in range(4):
        page.keyboard.press("k")
    saved(page)
    served.kill()
    for _ in range(3):
        page.keyboard.press("d")
    until(page, "document.querySelector('#saved').textContent.includes('3개 저장 안 됨')")
    assert len(decided(served.decisions)) == 4
    again = serve(served.port)
    context = page.context
    page.close(run_before_unload=False)
    page = opened(again.address, context)
    until(page, "document.querySelector('#saved').textContent.includes('3개를 저장했습니다')")
    assert decided(again.decisions) == dict(zip(order, ["keep"] * 4 + ["drop"] * 3, strict=False))
    shown = "document.querySelectorAll('#table .is-keep, #table .is-clash').length"
    assert page.evaluate(shown) == 4


def test_a_killed_browser_loses_nothing_that_it_called_saved(serve, chromium, tmp_path: Path) -> None:
    """In the midst of pressing; of what it did not call saved there is no hole."""
    served, home = serve(), tmp_path / "home"

    def launch() -> Any:
        context = chromium.launch_persistent_context(home, viewport={"width": 1280, "height": 820}, **browsers.LAUNCH)
        page = context.pages[0]
        page.goto(served.address)
        page.wait_for_selector(READY)
        return page

    page = launch()
    order = rows_of(served)["token"][:40].to_list()
    for _ in range(20):
        page.keyboard.press("k")
    saved(page)
    for _ in range(20):
        page.keyboard.press("d")
    unsaved = int(page.evaluate("document.querySelector('#saved').dataset.unsaved"))
    own = [int(path.name) for path in Path("/proc").glob("[0-9]*") if str(home) in _command(path)]
    assert own
    for process in own:
        os.kill(process, signal.SIGKILL)
    time.sleep(1)  # what is on its way arrives
    there = decided(served.decisions)
    assert len(there) >= 40 - unsaved
    assert there == dict(zip(order, ["keep"] * 20 + ["drop"] * (len(there) - 20), strict=False))
    for lock in home.glob("Singleton*"):
        lock.unlink()
    page = launch()
    until(
        page, "!Object.keys(localStorage).some(key => key.startsWith('kovocab '))"
    )  # what the one before left is taken
    saved(page)
    there = decided(served.decisions)
    until(page, f"document.querySelector('#sums .by-hand dd').textContent.startsWith('+20 −{len(there) - 20}')")
    page.context.close()


def _command(process: Path) -> str:
    try:
        return (process / "cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""


def test_two_tabs_and_two_servers_see_each_other(serve, opened) -> None:
    served, other = serve(), serve()
    first = opened(served.address)
    second, third = opened(served.address, first.context), opened(other.address)
    order = tokens(first, 4)
    first.keyboard.press("k")
    for page in (second, third):
        until(page, "document.querySelectorAll('#table .is-keep').length === 1")
    second.keyboard.press("ArrowDown")
    second.keyboard.press("d")
    third.keyboard.press("d")  # of what the first kept
    for page in (first, second, third):
        until(page, "document.querySelectorAll('#table .is-drop').length === 2")
        saved(page)
    assert decided(served.decisions) == {order[0]: "drop", order[1]: "drop"}
    first.keyboard.press("u")  # which the third decided otherwise since
    first.wait_for_timeout(300)
    assert decided(served.decisions) == {order[0]: "drop", order[1]: "drop"}
    for page in (first, second, third):
        for _ in range(10):
            page.keyboard.press("k")
    for page in (first, second, third):
        saved(page)
    assert Decisions.load(served.decisions)


HOSTILE = """<!doctype html><script>
const at = "http://127.0.0.1:PORT", said = []
const body = JSON.stringify({client: "a", batches: [{number: 1, decisions: [["가", "drop"]]}]})
const tries = {
    read: () => fetch(at + "/api/rows").then(answer => answer.text()),
    withToken: () => fetch(at + "/api/rows", {headers: {"x-kovocab-token": "TOKEN"}}).then(answer => answer.text()),
    post: () => fetch(at + "/api/decide", {method: "POST", headers: {"x-kovocab-token": "TOKEN"}, body})
        .then(answer => answer.text()),
    blind: () => fetch(at + "/api/decide", {method: "POST", mode: "no-cors", body}).then(a => a.text().then(t => {
        if (t) return t; throw a.type })),
    frame: () => new Promise((done, failed) => { const frame = document.createElement("iframe")
        frame.src = at + "/#TOKEN"
        frame.onload = () => { try { done(frame.contentDocument.body.innerText || failed()) } catch (e) { failed(e) } }
        document.body.append(frame) }),
    script: () => new Promise((done, failed) => { const s = document.createElement("script"); s.src = at + "/api/rows"
        s.onload = done; s.onerror = failed; document.body.append(s) }),
}
onload = async () => {
    for (const [name, one] of Object.entries(tries)) {
        try { await one(); said.push(name) } catch { }
    }
    document.title = "done " + said.join(" ")
}
</script><body></body>"""


def test_a_hostile_page_neither_reads_nor_writes(serve, browser) -> None:
    """It even knows the token; by another name for this machine it is of another site, by the same of the same site."""
    served = serve()
    text = HOSTILE.replace("PORT", str(served.port)).replace("TOKEN", served.token).encode()

    class Hostile(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hostile)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        for host in ("127.0.0.1", "localhost"):
            page = browser.new_page()
            page.goto(f"http://{host}:{server.server_port}/")
            until(page, "document.title.startsWith('done')")
            assert page.title().strip() == "done"
            page.close()
    finally:
        server.shutdown()
        server.server_close()
    assert not served.decisions.exists()


def test_it_is_readable_at_each_size_and_in_each_scheme(serve, opened, tmp_path) -> None:
    served = serve()
    pictures = Path(os.environ.get("KOVOCAB_PICTURES", tmp_path))
    for width, scheme, locale in SIZES:
        page = opened(served.address, viewport={"width": width, "height": 820}, color_scheme=scheme, locale=locale)
        assert page.evaluate("document.documentElement.lang") == locale[:2]
        for key in ("k", "j", "d", "j", "j", "k", "j"):
            page.keyboard.press(key)
        until(page, "document.querySelectorAll('#sums dd').length === 5")
        until(page, "document.querySelector('#detail .sentences').textContent.length > 20")
        saved(page)
        until(page, "!document.querySelector('#sums').classList.contains('old')")
        if find_spec("kiwipiepy") is not None:
            until(page, "document.querySelectorAll('#kind option').length > 2")
        page.screenshot(path=pictures / f"table-{width}-{scheme}.png")
        assert browsers.faint(page, TEXTS) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.keyboard.press("r")
        page.wait_for_selector("#curve svg", timeout=300_000)
        page.locator("#min_count").evaluate("range => { range.value = +range.value + 4; range.oninput() }")
        page.click("#run")
        page.wait_for_selector("#accept:not([hidden])", timeout=300_000)
        page.screenshot(path=pictures / f"refine-{width}-{scheme}.png")
        assert browsers.faint(page, TEXTS) == []
        assert page.locator("#refine").evaluate("one => one.scrollWidth <= one.clientWidth")
        page.keyboard.press("Escape")
        page.keyboard.press("?")
        page.screenshot(path=pictures / f"help-{width}-{scheme}.png")
        assert browsers.faint(page, TEXTS) == []


def test_refine_again_and_accept(serve, opened, tmp_path) -> None:
    served = serve()
    page = opened(served.address)
    first = tokens(page, 1)[0]
    page.keyboard.press("d")
    page.keyboard.press("r")
    page.click("#run")
    page.wait_for_selector("#accept:not([hidden])", timeout=300_000)
    assert first in page.inner_text("#difference .went")
    page.fill("#folder", page.input_value("#folder").removesuffix("-curated"))
    page.click("#write")  # over what it came from
    page.wait_for_selector("#written.wrong", timeout=300_000)
    assert "overwrite" in page.inner_text("#written")
    page.fill("#folder", str(tmp_path / "accepted"))
    page.click("#write")
    until(page, "document.querySelector('#written').textContent.includes('accepted')")
    assert first not in pl.read_parquet(tmp_path / "accepted/vocabulary.parquet")["token"]
