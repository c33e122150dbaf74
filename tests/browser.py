"""A page in headless Chromium that a test can type into, over the browser's own debugging protocol."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
from websockets.sync.client import ClientConnection, connect

PATIENCE_S = 30.0


class Page:
    """One open page."""

    def __init__(self, line: ClientConnection) -> None:
        self._line, self._asked = line, 0

    def evaluate(self, script: str) -> Any:
        """What a script comes to, as JSON has it."""
        asked = {"expression": script, "returnByValue": True, "awaitPromise": True}
        answer = self._call("Runtime.evaluate", asked)
        if "error" in answer:  # the page is being loaded anew
            return None
        assert "exceptionDetails" not in answer["result"], answer
        return answer["result"]["result"].get("value")

    def when(self, script: str) -> None:
        """Wait until a script comes to true."""
        deadline = time.monotonic() + PATIENCE_S
        while self.evaluate(script) is not True:
            assert time.monotonic() < deadline, f"{script} never came true; the page says {self.text()!r}"
            time.sleep(0.05)

    def phone(self) -> None:
        """Be as wide as a phone from now on."""
        size = {"width": 375, "height": 720, "deviceScaleFactor": 1, "mobile": True}
        self._call("Emulation.setDeviceMetricsOverride", size)

    def _call(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self._asked += 1
        self._line.send(json.dumps({"id": self._asked, "method": method, "params": params}))
        while True:
            answer: dict[str, Any] = json.loads(self._line.recv(timeout=PATIENCE_S))
            if answer.get("id") == self._asked:
                return answer

    def text(self) -> str:
        return str(self.evaluate("document.body?.innerText") or "")

    def until(self, words: str) -> None:
        """Wait until the page shows these words."""
        deadline = time.monotonic() + PATIENCE_S
        while words not in (text := self.text()):
            assert time.monotonic() < deadline, f"{words!r} is not in {text!r}"
            time.sleep(0.05)


@contextmanager
def opened(chromium: str, url: str, folder: Path) -> Iterator[Page]:
    """The page at `url`, in a browser of its own that ends with the test."""
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    command = [chromium, *flags, "--remote-debugging-port=0", f"--user-data-dir={folder}", url]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as browser:
        try:
            with connect(_address(folder / "DevToolsActivePort"), proxy=None) as line:
                yield Page(line)
        finally:
            browser.terminate()


def _address(told: Path) -> str:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if told.exists() and (port := told.read_text().partition("\n")[0]):
            pages = httpx2.get(f"http://127.0.0.1:{port}/json/list").json()
            if found := [page for page in pages if page["type"] == "page"]:
                return str(found[0]["webSocketDebuggerUrl"])
        time.sleep(0.05)
    raise AssertionError("the browser did not open the page")
