"""A local S3 server, and one that fails; tests that need them are skipped where their packages are not."""

import logging
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from typing import Any

import pytest

from kovocab.corpus import stores
from support.servers import ENVIRONMENT, Half

WANTED = "pip install kovocab[test]"


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    """A client of a local S3 server with the empty buckets `corpus` and `tree`; the environment names the server."""
    boto3 = pytest.importorskip("boto3", reason=WANTED)
    pytest.importorskip("obstore", reason=WANTED)
    moto_server = pytest.importorskip("moto.server", reason=WANTED)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
        server.start()
        url = "http://{}:{}".format(*server.get_host_and_port())
        patch.setenv("AWS_ENDPOINT_URL", url)
        client = boto3.client("s3", region_name="us-east-1", endpoint_url=url)
        for bucket in ("corpus", "tree"):
            client.create_bucket(Bucket=bucket)
        yield client
        client.close()
        server.stop()


@pytest.fixture
def half(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """S3 at such a server, and little patience."""
    pytest.importorskip("obstore", reason=WANTED)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(stores, "_TRIES", 0)
    monkeypatch.setitem(stores.POLARS_RETRIES, "max_retries", 0)
    with ThreadingHTTPServer(("127.0.0.1", 0), Half) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        yield
        server.shutdown()
        thread.join()
