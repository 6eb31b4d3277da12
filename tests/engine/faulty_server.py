"""A file server on loopback that fails in the ways servers and networks do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class FaultyServer:
    """Serves *files* by path.  Each request takes the next of *faults*, the last one for ever.

    ``""`` serves properly; ``"cut:N"`` closes after N bytes; ``"no ranges"`` always sends the whole;
    ``"wrong range"`` sends another part than was asked for; a number is a status to answer with.
    """

    files: dict[str, bytes]
    faults: list[str] = field(default_factory=lambda: [""])
    url: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Path and Range header of each request."""

    def next_fault(self) -> str:
        return self.faults.pop(0) if len(self.faults) > 1 else self.faults[0]

    @property
    def ranges(self) -> list[str]:
        return [asked for _, asked in self.asked]


@contextmanager
def serving(server: FaultyServer) -> Iterator[FaultyServer]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range", "")
            server.asked.append((self.path, wanted))
            answer(self, server, wanted)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        server.url = f"http://127.0.0.1:{http.server_port}"
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()


def answer(handler: BaseHTTPRequestHandler, server: FaultyServer, wanted: str) -> None:
    fault = server.next_fault()
    content = server.files.get(handler.path)
    if fault.isdigit() or content is None:
        handler.send_error(int(fault) if fault.isdigit() else 404)
        return
    start = 0 if fault == "no ranges" else int(wanted.removeprefix("bytes=").rstrip("-") or 0)
    if fault == "wrong range":
        start += 1
    if start > len(content):
        handler.send_error(416)
        return
    handler.send_response(206 if wanted and fault != "no ranges" else 200)
    if wanted and fault != "no ranges":
        handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
    body = content[start:]
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    sent = body[: int(fault.removeprefix("cut:"))] if fault.startswith("cut:") else body
    handler.wfile.write(sent)
    handler.close_connection = True
