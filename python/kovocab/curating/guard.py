"""Who may ask the page's server: this machine's browser, from the page itself, with the token of its address.

The token stands behind the `#` of the address, which no browser sends to anybody; the page sends it back in a header,
which no other page can without being asked for leave, and none is given. There is no cookie: those of 127.0.0.1 go to
whatever port is asked, and so to other people's servers. The shell of the page is for everybody who asks here by this
address; what it shows is behind the token.
"""

from secrets import compare_digest

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOST = "127.0.0.1"
TOKEN = "x-kovocab-token"

SENT = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}
"""What goes with every answer: nothing is loaded from elsewhere, framed or kept."""


class Guard:
    """Round the application: refuses a request, or lets it in and says with the answer what a browser may do."""

    def __init__(self, app: ASGIApp, port: int, token: str) -> None:
        self.app, self.host, self.token = app, f"{HOST}:{port}", token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(SENT)
            await send(message)

        if why := self.refused(Headers(scope=scope), scope["path"]):
            await JSONResponse({"error": why}, 403)(scope, receive, sending)
        else:
            await self.app(scope, receive, sending)

    def refused(self, headers: Headers, path: str) -> str | None:
        """Why a request is not let in; None of one that is."""
        if headers.getlist("host") != [self.host]:  # a name that somebody pointed to this address
            return f"this is no page of that host; wanted {self.host}"
        if headers.get("origin", f"http://{self.host}") != f"http://{self.host}":
            return "another page asked; wanted this one"
        if headers.get("sec-fetch-site", "none") not in ("same-origin", "none") and path.startswith("/api/"):
            return "another page asked; wanted this one"
        if path.startswith("/api/") and not compare_digest(headers.get(TOKEN, "").encode(), self.token.encode()):
            return "the token is not of this server; wanted the address that kovocab printed"
        return None
