"""A stand-in for the hub's API, as far as a push speaks with it: repositories, large files by their hashes, commits."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WRITER, READER = "hf_" + "w" * 34, "hf_" + "r" * 34
"""Tokens: of `me`, who writes, and one that may only read."""


class Hub(ThreadingHTTPServer):
    """What it has, and what it was asked.

    Attributes:
        repos: By name, whether each is private, and its files.
        stored: Large files by their hashes, whatever they are called.
        asked: Each request, as "POST /api/…".
        answers: Status and message for a path that holds the key, in place of what would be answered.
        commits: The first line of each commit.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repos: dict[str, dict[str, Any]] = {}
        self.stored: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.answers: dict[str, tuple[int, str]] = {}
        self.commits: list[str] = []

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def hub() -> Iterator[Hub]:
    """A hub while the block runs."""
    with Hub() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


class _Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *what: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_PUT = do_HEAD = do_GET

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0]
        self.server.asked.append(f"{self.command} {path}")
        for part, (status, said) in self.server.answers.items():
            if part in path:
                return self._send(status, {"error": said}, said)
        if path.startswith("/lfs/"):  # a signed address, which asks for no token
            self.server.stored[path.removeprefix("/lfs/")] = body
            return self._send(200, {})
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if token not in ("", WRITER, READER):
            return self._send(401, {"error": "Invalid user token."}, "Invalid credentials in Authorization header")
        if path == "/api/validate-yaml":
            return self._send(200, {"errors": [], "warnings": []})
        if path == "/api/repos/create":
            return self._create(json.loads(body), token)
        owner, name, rest = [*path.removeprefix("/api/models").strip("/").split("/", 2), ""][:3]
        repo = f"{owner}/{name.removesuffix('.git')}"
        found = self.server.repos.get(repo)
        if found is None or (found["private"] and not token):
            if not token:
                return self._send(401, {"error": "Repository not found"}, "Invalid username or password.")
            return self._send(404, {"error": "Repository not found"}, "Repository not found", "RepoNotFound")
        if rest == "":
            files = [{"rfilename": each} for each in found["files"]]
            return self._send(200, {"id": repo, "private": found["private"], "sha": "0" * 40, "siblings": files})
        if self.command == "GET":
            files = [
                {"type": "file", "path": each, "size": len(data), "oid": "0" * 40}
                for each, data in found["files"].items()
            ]
            return self._send(200, files)
        if token != WRITER:
            return self._send(403, {"error": "This token has no write access"}, "This token has no write access")
        if rest.startswith("preupload/"):
            asked = json.loads(body)["files"]
            modes = [
                {"path": file["path"], "uploadMode": _mode(file["path"]), "shouldIgnore": False, "oid": None}
                for file in asked
            ]
            return self._send(200, {"files": modes})
        if rest == "info/lfs/objects/batch":
            return self._send(
                200, {"transfer": "basic", "objects": list(map(self._large, json.loads(body)["objects"]))}
            )
        assert rest.startswith("commit/"), path
        return self._commit(repo, found["files"], [json.loads(line) for line in body.splitlines()])

    def _create(self, said: dict[str, Any], token: str) -> None:
        if not token:
            return self._send(401, {"error": "Unauthorized"}, "Invalid username or password.")
        owner = said.get("organization") or "me"
        if token != WRITER or owner != "me":
            return self._send(403, {"error": "no rights"}, f"You don't have the rights to create a model under {owner}")
        repo = f"{owner}/{said['name']}"
        self.server.repos.setdefault(repo, {"private": _private(said), "files": {".gitattributes": b""}})
        return self._send(200, {"url": f"{self.server.url}/{repo}"})

    def _large(self, asked: dict[str, Any]) -> dict[str, Any]:
        found = {"oid": asked["oid"], "size": asked["size"]}
        if asked["oid"] in self.server.stored:
            return found  # it is there already
        return found | {"actions": {"upload": {"href": f"{self.server.url}/lfs/{asked['oid']}"}}}

    def _commit(self, repo: str, files: dict[str, bytes], lines: list[dict[str, Any]]) -> None:
        for line in lines:
            value = line["value"]
            if line["key"] == "header":
                self.server.commits.append(value["summary"])
            elif line["key"] == "deletedFile":
                files.pop(value["path"])
            elif line["key"] == "lfsFile":
                data = self.server.stored[value["oid"]]
                assert hashlib.sha256(data).hexdigest() == value["oid"]
                files[value["path"]] = data
            else:
                files[value["path"]] = base64.b64decode(value["content"])
        self._send(200, {"commitUrl": f"{self.server.url}/{repo}/commit/1", "commitOid": "1" * 40})

    def _send(self, status: int, said: Any, message: str | None = None, code: str | None = None) -> None:
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if message is not None and status >= 400:
            self.send_header("X-Error-Message", message)
        if code is not None:
            self.send_header("X-Error-Code", code)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _private(said: dict[str, Any]) -> bool:
    """As versions of the client say it."""
    return bool(said.get("private") or said.get("visibility") == "private")


def _mode(path: str) -> str:
    return "lfs" if path.endswith(".safetensors") else "regular"
