"""A page in headless Chromium that a test can type into, over the browser's own debugging protocol."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from websockets.sync.client import ClientConnection, connect

PATIENCE_S = 60.0
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--remote-debugging-port=0"),
)
in_browser = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


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
        self.when(f"innerWidth === {size['width']}")

    def _call(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self._asked += 1
        self._line.send(json.dumps({"id": self._asked, "method": method, "params": params}))
        while True:
            answer: dict[str, Any] = json.loads(self._line.recv(timeout=PATIENCE_S))
            if answer.get("id") == self._asked:
                return answer

    def text(self) -> str:
        return str(self.evaluate("document.body?.innerText") or "")

    def until(self, *words: str) -> str:
        """Wait until the page shows all these words -> all that it shows then."""
        deadline = time.monotonic() + PATIENCE_S
        while missing := [one for one in words if one not in (text := self.text())]:
            assert time.monotonic() < deadline, f"{missing} is not in {text!r}"
            time.sleep(0.05)
        return text


@contextmanager
def opened(url: str, folder: Path) -> Iterator[Page]:
    """The page at `url`, in a browser of its own that ends with the test."""
    assert CHROMIUM is not None
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={folder}", url]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as browser:
        try:
            with connect(_address(folder / "DevToolsActivePort"), proxy=None, open_timeout=PATIENCE_S) as line:
                yield Page(line)
        finally:
            browser.terminate()


def _address(told: Path) -> str:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if told.exists() and (port := told.read_text().partition("\n")[0]):
            pages = httpx2.get(f"http://127.0.0.1:{port}/json/list", timeout=PATIENCE_S).json()
            if found := [page for page in pages if page["type"] == "page"]:
                return str(found[0]["webSocketDebuggerUrl"])
        time.sleep(0.05)
    raise AssertionError("the browser did not open the page")
