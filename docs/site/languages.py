"""Two languages in one site: a page of `docs/ko/` is Korean, and the same name outside of it is that page in English.

Each page says which language it is in and links to the other; the search finds parts of Korean words.
"""

import re
from typing import Any

from sphinx.application import Sphinx
from sphinx.search.en import SearchEnglish

KOREAN = {
    "Next": "다음",
    "Previous": "이전",
    "Home": "처음",
    "On this page": "이 페이지에서",
    "Search": "검색",
    "Back to top": "맨 위로",
    "Skip to content": "본문으로",
}
"""The theme's own words, on Korean pages."""


class SearchEnglishKorean(SearchEnglish):
    """Words as English has them; of Korean each two syllables side by side.

    A word of Korean comes with particles and endings, so who looks for 토크나이저 wants 토크나이저를 too. Cut into
    pairs on both sides, a part is found wherever it stands, without a dictionary.
    """

    lang = "en_ko"
    js_splitter_code = """
function splitQuery(query) {
  return (query.match(/[\\uac00-\\ud7a3]+|[^\\W_]+|[\\p{L}\\p{N}]+/gu) || []).flatMap((word) =>
    /^[\\uac00-\\ud7a3]{3,}$/.test(word)
      ? Array.from({ length: word.length - 1 }, (_, at) => word.slice(at, at + 2))
      : [word]);
}
"""

    def split(self, input: str) -> list[str]:
        """What is looked up of a text."""
        parts = []
        for word in re.findall(r"[가-힣]+|[A-Za-z0-9]+|[^\W_]+", input):
            pairs = len(word) > 2 and "가" <= word[0] <= "힣"
            parts += [word[at : at + 2] for at in range(len(word) - 1)] if pairs else [word]
        return parts


def _context(app: Sphinx, page: str, _: str, context: dict[str, Any], __: object) -> None:
    korean = page.startswith("ko/")
    other = page.removeprefix("ko/") if korean else f"ko/{page}"
    if other not in app.env.found_docs:
        other = "index" if korean else "ko/index"
    context["other_page"] = other
    context["is_korean"] = korean
    if not korean:
        return
    context["language"] = "ko"

    def said(text: str, **values: object) -> str:
        return KOREAN.get(text, text) % values if values else KOREAN.get(text, text)

    context["_"] = context["gettext"] = said
    # What is Korean comes first.
    parts = re.split(r'(?=<p class="caption)', context.get("furo_navigation_tree", ""))
    context["furo_navigation_tree"] = "".join(sorted(parts, key=lambda part: bool(part) and "한국어" not in part))


def setup(app: Sphinx) -> dict[str, bool]:
    """For Sphinx."""
    app.add_search_language(SearchEnglishKorean)
    app.connect("html-page-context", _context, priority=900)  # after the theme's
    return {"parallel_read_safe": True, "parallel_write_safe": True}
