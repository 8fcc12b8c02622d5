"""Servers of remote corpora: what a test tells S3, and one whose files are all there and are not all sent."""

from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, ClassVar

SECRET = "geheim"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "who",
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_REGION": "us-east-1",
    "AWS_ALLOW_HTTP": "true",
    "AWS_CONFIG_FILE": "/nowhere",
    "AWS_SHARED_CREDENTIALS_FILE": "/nowhere",
    "NO_PROXY": "127.0.0.1",
}


def put(s3: Any, path: Path, key: str) -> str:
    s3.put_object(Bucket="corpus", Key=key, Body=path.read_bytes())
    return f"s3://corpus/{key}"


def signed(s3: Any, url: str) -> str:
    bucket, key = url.removeprefix("s3://").split("/", 1)
    link: str = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key})
    assert "Signature=" in link
    return link


class Half(BaseHTTPRequestHandler):
    """A server whose files are all there, and of which it sends no range that begins in `refused`.

    What it answers instead stands in the path: /404/.
    """

    content: ClassVar[bytes] = b" " * 100
    refused: ClassVar[range] = range(1 << 60)

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.content)))
        self.send_header("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT")
        self.end_headers()

    def do_GET(self) -> None:
        asked = self.headers["Range"]
        if asked is None and "Signature" in self.path:
            self.do_HEAD()
            self.wfile.write(self.content)
            return
        first, last = (asked or "=0-").split("=")[1].split("-")
        size = len(self.content)
        start, end = (int(first), int(last or size - 1) + 1) if first else (max(0, size - int(last)), size)
        if start in self.refused:
            self.send_error(int(self.path.split("/")[-2]))
            return
        self.send_response(206)
        self.send_header("Content-Length", str(end - start))
        self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
        self.send_header("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT")
        self.end_headers()
        self.wfile.write(self.content[start:end])

    do_PUT = do_GET

    def log_message(self, *args: object) -> None:
        pass
