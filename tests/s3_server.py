"""A real S3 protocol server on loopback, and a door in front of it that refuses what a test tells it to refuse."""

import http.client
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@contextmanager
def s3_server() -> Iterator[int]:
    """Runs moto's server; yields its port.

    It answers one request after another: S3's conditional writes are atomic, and moto's are only in one thread.
    """
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    backend, one_at_a_time = DomainDispatcherApplication(create_backend_app), threading.Lock()

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        with one_at_a_time:
            return list(backend(environ, start_response))

    server = make_server("127.0.0.1", 0, application, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()


def make_bucket(port: int, name: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("PUT", f"/{name}")
    assert connection.getresponse().status == 200
    connection.close()


class Door:
    """Passes requests on to the server, except those that it is told to refuse."""

    def __init__(self, port: int, address: str = "127.0.0.1") -> None:
        self.refusals: list[int] = []
        """HTTP statuses of the next answers; 0 drops the connection."""
        self.rule: Callable[[int], int | None] = lambda number: None
        """The number of a request -> its answer's HTTP status, or None to pass it on; a rule may take its time."""
        self.lost_answers = 0
        """Number of requests whose answer gets lost: the server receives them, the client hears nothing."""
        self.ignores_conditions = False
        self.seen: list[str] = []
        door = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                body = self._body()
                door.seen.append(f"{self.command} {self.path}")
                with door._lock:
                    status = door.refusals.pop(0) if door.refusals else None
                if status is None:
                    status = door.rule(len(door.seen))
                if status == 0:
                    self.close_connection = True
                    return
                if status is not None:
                    self._send(status, {}, b"<Error><Code>SlowDown</Code></Error>" if status == 503 else b"")
                    return
                headers = {k: v for k, v in self.headers.items() if k.lower() != "transfer-encoding"}
                if door.ignores_conditions:
                    headers = {k: v for k, v in headers.items() if not k.lower().startswith("if-")}
                connection = http.client.HTTPConnection("127.0.0.1", port)
                connection.request(self.command, self.path, body=body, headers=headers)
                answer = connection.getresponse()
                body = answer.read()
                connection.close()
                if door.lost_answers:
                    door.lost_answers -= 1
                    self._send(500, {}, b"")
                    return
                self._send(answer.status, dict(answer.getheaders()), body)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_any  # noqa: N815

            def _body(self) -> bytes:
                return self.rfile.read(int(self.headers.get("content-length") or 0))

            def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
                self.send_response(status)
                length = headers.pop("Content-Length", None) if self.command == "HEAD" else str(len(body))
                for name, value in headers.items():
                    if name.lower() not in {"content-length", "transfer-encoding", "connection", "date", "server"}:
                        self.send_header(name, value)
                self.send_header("Content-Length", length or "0")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Says nothing."""

        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer((address, 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that was killed, or left
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> "Door":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
