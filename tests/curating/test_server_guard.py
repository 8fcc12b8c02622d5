"""Who is let in: the page itself with its token, and nobody else."""

import pytest

starlette = pytest.importorskip("starlette", reason="pip install kovocab[curate]")

from starlette.datastructures import Headers  # noqa: E402

from kovocab.curating.server import TOKEN, Guard  # noqa: E402

HOST = "127.0.0.1:8417"
GUARD = Guard(None, 8417, "secret")


def refused(path: str, *headers: tuple[str, str]) -> str | None:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    return GUARD.refused(Headers(raw=raw), path)


def test_the_page_and_nobody_else() -> None:
    host, token = ("host", HOST), (TOKEN, "secret")
    assert refused("/", host) is None
    assert refused("/api/rows", host, token) is None
    assert refused("/api/rows", host, token, ("origin", f"http://{HOST}"), ("sec-fetch-site", "same-origin")) is None
    for other in ("", "secre", "Secret", "ß", "secret "):
        assert "token" in str(refused("/api/rows", host, (TOKEN, other)))
    assert "token" in str(refused("/api/rows", host))
    for other in ("evil.example", "localhost:8417", "127.0.0.1", "127.0.0.1:8418", "", "127.0.0.1:8417.evil.example"):
        assert "host" in str(refused("/", ("host", other)))
    assert "host" in str(refused("/"))
    assert "host" in str(refused("/", host, ("host", "evil.example")))
    for other in ("http://evil.example", "null", "http://127.0.0.1:8418", "https://127.0.0.1:8417", ""):
        assert "another page" in str(refused("/api/decide", host, token, ("origin", other)))
    for other in ("cross-site", "same-site"):
        assert "another page" in str(refused("/api/rows", host, token, ("sec-fetch-site", other)))
