"""A report in a real browser: no error, no request, readable wide and narrow, light and dark, and on paper."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kovocab.cli.main import main
from support import browsers

SIZES = [(1000, "light"), (1000, "dark"), (400, "light"), (400, "dark")]

# Of each text of a chart, whether it is all within its drawing; a pixel for rounding.
CUT = """() => [...document.querySelectorAll("svg")].flatMap(svg => {
    const box = svg.getBoundingClientRect()
    return [...svg.querySelectorAll("text")].filter(text => {
        const own = text.getBoundingClientRect()
        return own.width && (own.left < box.left - 1 || own.right > box.right + 1 || own.top < box.top - 1
                             || own.bottom > box.bottom + 1)
    }).map(text => text.textContent)
})"""
TEXTS = "p, td, th, h1, h2, h3, span, b, small, figcaption, svg text"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with browsers.chromium() as chromium:
        browser = chromium.launch(**browsers.LAUNCH)
        yield browser
        browser.close()


@pytest.fixture(params=["en", "ko"])
def report(request: pytest.FixtureRequest, measured: Path) -> Path:
    assert main(["report", str(measured / "run"), "--language", request.param]) == 0
    return measured / "run/report.html"


@pytest.fixture
def opened(browser: Any, report: Path) -> Iterator[Any]:
    """A function that opens the report at a size and in a scheme; nothing may be asked for or complained of."""
    complaints: list[str] = []
    asked: list[str] = []
    pages = []

    def route(request: Any) -> None:
        asked.append(request.request.url)
        request.continue_() if request.request.url == report.as_uri() else request.abort()

    def open_(width: int, scheme: str) -> Any:
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.route("**/*", route)
        page.goto(report.as_uri(), wait_until="networkidle")
        pages.append(page)
        return page

    yield open_
    for page in pages:
        page.close()
    assert complaints == []
    assert asked == [report.as_uri()] * len(pages)


def test_it_is_readable_at_each_size_and_in_each_scheme(opened, tmp_path):
    looks = set()
    for width, scheme in SIZES:
        page = opened(width, scheme)
        shot = page.screenshot(full_page=True, path=tmp_path / f"{width}-{scheme}.png")
        assert shot.startswith(b"\x89PNG")
        looks.add(shot)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(CUT) == []
        assert browsers.faint(page, TEXTS) == []
        assert page.evaluate(
            "[...document.querySelectorAll('svg')].every(svg => svg.getBoundingClientRect().width > 250)"
        )
    assert len(looks) == len(SIZES)


def test_texts_of_charts_are_texts(opened):
    page = opened(1000, "light")
    page.evaluate("getSelection().selectAllChildren(document.body)")
    selected = page.evaluate("getSelection().toString()")
    assert "나무 그늘" in selected
    assert "8.13" in selected or "8.12" in selected  # the label of a bar
    assert page.evaluate("document.querySelectorAll('svg text').length") > 30


def test_it_prints_to_a4(opened, tmp_path):
    pdfium = pytest.importorskip("pypdfium2", reason="pip install pypdfium2")
    path = tmp_path / "report.pdf"
    opened(1000, "dark").pdf(path=path, prefer_css_page_size=True, print_background=True)
    document = pdfium.PdfDocument(path)
    assert 2 <= len(document) <= 8
    pages = [document[at] for at in range(len(document))]
    assert all(abs(page.get_width() - 595) < 2 and abs(page.get_height() - 842) < 2 for page in pages)
    texts = [page.get_textpage().get_text_range() for page in pages]
    assert "나무 그늘" in texts[0]
    assert all(len(text.strip()) > 40 for text in texts)
    corner = pages[0].render().to_numpy()[5, 5]
    assert corner.min() > 250  # paper is white, whatever the screen was
