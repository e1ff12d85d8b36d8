"""The metadata of a machine of AWS or GCE, as they serve it, and a server for it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

Answer = Callable[[str, str, Any], str | None]
"""(method, path, headers) -> text, or None for 404."""


@contextmanager
def serving(answer: Callable[[str], Answer], address: str = "127.0.0.1") -> Iterator[str]:
    """A server whose answers depend on who asks, by address; yields its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            text = answer(self.client_address[0])(self.command, self.path, self.headers)
            self.send_response(404 if text is None else 200)
            self.end_headers()
            self.wfile.write((text or "").encode())

        do_PUT = do_GET  # noqa: N815

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    with ThreadingHTTPServer((address, 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://{address}:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def aws(action: str | None) -> Answer:
    """What AWS answers; `action` is None without a notice."""

    def answer(method: str, path: str, headers: Any) -> str | None:
        if (method, path) == ("PUT", "/latest/api/token"):
            return "secret" if headers["X-aws-ec2-metadata-token-ttl-seconds"] else None
        asked = path == "/latest/meta-data/spot/instance-action" and headers["X-aws-ec2-metadata-token"] == "secret"
        return action if asked else None

    return answer


def gce(preempted: str) -> Answer:
    """What GCE answers."""

    def answer(method: str, path: str, headers: Any) -> str | None:
        asked = path == "/computeMetadata/v1/instance/preempted" and headers["Metadata-Flavor"] == "Google"
        return preempted if asked else None

    return answer


def terminate_at(unix: float) -> str:
    """AWS's notice."""
    return f'{{"action": "terminate", "time": "{datetime.fromtimestamp(unix, UTC):%Y-%m-%dT%H:%M:%SZ}"}}'
