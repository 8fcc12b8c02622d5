"""A real browser for the pages that kovocab makes, and whether what it shows can be read.

Chromium is Debian's, or what KOVOCAB_CHROMIUM names; `make browser` installs it. Where it is not, tests are skipped.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

_CHROMIUM = os.environ.get("KOVOCAB_CHROMIUM") or shutil.which("chromium")
LAUNCH: dict[str, Any] = {"executable_path": _CHROMIUM, "args": ["--no-sandbox"]}
"""How it is launched."""

# The contrast, as WCAG has it, of texts to what is behind them; those below 4.5.
_FAINT = """texts => {
    const rgb = colour => colour.match(/[\\d.]+/g).map(Number)
    const light = colour => rgb(colour).slice(0, 3).map(v => v / 255)
        .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0)
    const behind = element => {
        for (; element; element = element.parentElement) {
            const colour = getComputedStyle(element).backgroundColor
            if ((rgb(colour)[3] ?? 1) > 0) return colour
        }
        return "rgb(255, 255, 255)"
    }
    return [...document.querySelectorAll(texts)].filter(element => {
        if (!element.checkVisibility() || !element.textContent.trim() || element.disabled) return false
        const style = getComputedStyle(element)
        const own = light(element.tagName === "text" ? style.fill : style.color), other = light(behind(element))
        return (Math.max(own, other) + 0.05) / (Math.min(own, other) + 0.05) < 4.5
    }).map(element => [element.tagName, element.textContent.slice(0, 40)])
}"""


@contextmanager
def chromium() -> Iterator[Any]:
    """Playwright's Chromium, to be launched as `LAUNCH` says."""
    api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    if _CHROMIUM is None:
        pytest.skip("there is no chromium; `make browser` installs it, or KOVOCAB_CHROMIUM names one")
    with api.sync_playwright() as playwright:
        yield playwright.chromium


def faint(page: Any, texts: str) -> list[tuple[str, str]]:
    """The tag and the beginning of each text, among what a CSS selector finds, that is too pale to be read."""
    found: list[tuple[str, str]] = page.evaluate(_FAINT, texts)
    return found
