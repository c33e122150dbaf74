"""A server on this machine with the layout of KITTI's own site, which can misbehave."""

from __future__ import annotations

import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path


class Site:
    """Files by address, and what the server does wrong with the next requests."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.url = ""
        self.ranges = True
        self.break_after: list[int] = []
        self.failures: list[int] = []
        self.requests: list[tuple[str, str]] = []

    def bytes_from(self, header: str) -> int:
        return int(header.removeprefix("bytes=").removesuffix("-")) if self.ranges and header else 0


@contextmanager
def serving(site: Site) -> Iterator[Site]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range", "")
            site.requests.append((self.path, wanted))
            content = site.files.get(self.path.lstrip("/"))
            if site.failures:
                self.send_error(site.failures.pop(0))
            elif content is None:
                self.send_error(404)
            elif (start := site.bytes_from(wanted)) >= len(content) and start:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.end_headers()
            else:
                self._send(content, start, partial=bool(wanted) and site.ranges)

        def _send(self, content: bytes, start: int, *, partial: bool) -> None:
            self.send_response(206 if partial else 200)
            self.send_header("Content-Length", str(len(content) - start))
            if partial:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.end_headers()
            rest = content[start:]
            self.wfile.write(rest[: site.break_after.pop(0)] if site.break_after else rest)

        def log_message(self, *arguments: object) -> None:
            del arguments

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_port}/"
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def zipped_folder(folder: Path, inside: Path) -> bytes:
    files = {str(path.relative_to(inside)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    return zipped(files)
