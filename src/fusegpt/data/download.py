"""One file over HTTP, resumed where it broke off, whole or not there at all."""

from __future__ import annotations

import time
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

BLOCK = 1 << 20
TIMEOUT_S = 30.0
PARTIAL_CONTENT, RANGE_NOT_SATISFIABLE, SERVER_ERROR = 206, 416, 500
CUT_OFF = (OSError, HTTPException)

Progress = Callable[[int, int, str], None]


class DownloadError(Exception):
    """A file cannot be fetched; the message names its address."""


def download(url: str, path: Path, progress: Progress | None = None, attempts: int = 5, pause_s: float = 2.0) -> None:
    """Fetch `url` to `path`. What arrived is kept beside it as `<name>.part`, and the next call goes on from there.

    Gives up after `attempts` tries in a row that bring nothing new. `progress(bytes, of, name)` follows the bytes.
    Raises DownloadError.
    """
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    tries, furthest = 0, size_of(part)
    while True:
        try:
            _attempt(url, part, progress)
            break
        except CUT_OFF as error:
            if isinstance(error, HTTPError) and error.code < SERVER_ERROR:
                raise DownloadError(f"{url}: the server answers {error.code} {error.reason}") from None
            tries = 1 if size_of(part) > furthest else tries + 1
            furthest = max(furthest, size_of(part))
            if tries >= attempts:
                raise DownloadError(
                    f"{url}: broken off {tries} times after {furthest} bytes ({_reason(error)}); run it again to go on"
                ) from None
            time.sleep(pause_s * tries)
    part.replace(path)


def _attempt(url: str, part: Path, progress: Progress | None) -> None:
    """Bring `part` to its full size. Raises OSError or HTTPException where it does not get there."""
    have = size_of(part)
    request = Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urlopen(request, timeout=TIMEOUT_S) as response:
            _receive(response, part, have, progress)
    except HTTPError as error:
        if error.code != RANGE_NOT_SATISFIABLE:
            raise
        whole = (error.headers.get("Content-Range") or "").rpartition("/")[2]
        if whole != str(have):
            part.unlink()
            raise ConnectionError("what was there is longer than the file; it starts again") from None


def _receive(response: HTTPResponse, part: Path, have: int, progress: Progress | None) -> None:
    start, total = _extent(response, have)
    with part.open("r+b" if part.exists() else "wb") as file:
        file.truncate(start)
        file.seek(start)
        while block := response.read1(BLOCK):
            file.write(block)
            if progress:
                progress(file.tell(), total or file.tell(), part.name.removesuffix(".part"))
    if total is not None and size_of(part) != total:
        raise ConnectionError(f"{size_of(part)} of {total} bytes came")


def _extent(response: HTTPResponse, have: int) -> tuple[int, int | None]:
    """Where the answer begins within the file, and how long the file is."""
    length = response.headers.get("Content-Length")
    if response.status != PARTIAL_CONTENT:  # a server that cannot resume sends all of it again
        return 0, int(length) if length else None
    span, _, whole = (response.headers.get("Content-Range") or "").removeprefix("bytes ").partition("/")
    if span.partition("-")[0] != str(have) or not whole.isdigit():
        raise ConnectionError(f"asked for the bytes from {have} on, the server sends {span or 'it does not say which'}")
    return have, int(whole)


def size_of(path: Path) -> int:
    """Bytes of a file; 0 where there is none."""
    return path.stat().st_size if path.exists() else 0


def _reason(error: Exception) -> str:
    return str(error.reason if isinstance(error, URLError) else error) or type(error).__name__
