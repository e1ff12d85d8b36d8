"""The part of the hub's protocol that an upload needs, on loopback."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Hub:
    """What was uploaded, and what the next requests are refused with."""

    def __init__(self) -> None:
        self.address = ""
        self.files: dict[str, bytes] = {}
        """Committed files by path."""
        self.made: list[dict[str, Any]] = []
        self.tokens: set[str | None] = set()
        self.refusal: tuple[int, str] | None = None
        self._large: dict[str, bytes] = {}

    def answer(self, path: str, body: bytes) -> Any:
        """The JSON answer to a request; a PUT stores a large file."""
        name = path.partition("?")[0]
        if name == "/api/repos/create":
            self.made.append(json.loads(body))
            return {"url": f"{self.address}/{json.loads(body)['organization']}/{json.loads(body)['name']}"}
        if name == "/api/validate-yaml":
            assert json.loads(body)["content"].startswith("---\n")
            return {"warnings": [], "errors": []}
        if "/preupload/" in name:
            kinds = [
                (each["path"], "lfs" if each["path"].endswith(".safetensors") else "regular")
                for each in json.loads(body)["files"]
            ]
            return {"files": [{"path": path, "uploadMode": kind, "shouldIgnore": False} for path, kind in kinds]}
        if name.endswith("/info/lfs/objects/batch"):
            objects = [
                {**each, "actions": {"upload": {"href": f"{self.address}/put/{each['oid']}"}}}
                for each in json.loads(body)["objects"]
            ]
            return {"transfer": "basic", "objects": objects}
        if name.startswith("/put/"):
            self._large[name.rpartition("/")[2]] = body
            return {}
        assert "/commit/" in name, name
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                self.files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                data = self._large[value["oid"]]
                assert hashlib.sha256(data).hexdigest() == value["oid"]
                self.files[value["path"]] = data
        return {
            "commitUrl": f"{self.address}/me/model/commit/{'0' * 40}",
            "commitOid": "0" * 40,
            "pullRequestUrl": None,
        }


@contextmanager
def hub_server() -> Iterator[Hub]:
    """Runs it; the hub's address is in `address`."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if not self.path.startswith("/put/"):
                hub.tokens.add(self.headers.get("Authorization"))
            status, answer = (
                (200, hub.answer(self.path, body))
                if hub.refusal is None
                else (hub.refusal[0], {"error": hub.refusal[1]})
            )
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_PUT = do_POST  # noqa: N815

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
