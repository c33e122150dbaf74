"""The pages for people, in a real browser where there is one."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import in_browser, opened
from running import running
from starlette.testclient import TestClient
from tiny_model import Shelf, TextPredictor, TinyPredictor

from service.api.access import Access
from service.endpoint import try_out
from service.endpoint.pages import STATIC
from service.settings import Settings


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with running(Shelf(number=7), TinyPredictor()) as address:
        yield address


def test_the_pages_fetch_nothing_from_elsewhere(client: TestClient) -> None:
    for path in ("/", "/docs"):
        answer = client.get(path)
        assert answer.status_code == 200
        assert "default-src 'self'" in answer.headers["content-security-policy"]
    for file in STATIC.iterdir():
        assert "://" not in file.read_text().replace("curl ${location.origin}", ""), file.name
        assert client.get(f"/static/{file.name}").status_code == 200
    assert client.get("/static/../pages.py").status_code == 404


def test_an_example_fits_the_model_and_is_a_problem_for_another_model(client: TestClient) -> None:
    example = client.get("/v1/example?number=1").json()
    assert set(example["files"]) | set(example["numbers"]) == {"image", "sweep", "speed_mps", "target_point"}
    assert len(example["projection"]) == 3
    assert client.get("/v1/example?number=x").json()["field"] == "query.number"
    assert not try_out.can_make(TextPredictor.signature)


@in_browser
@pytest.mark.slow
def test_an_example_is_asked_drawn_and_told(address: str, tmp_path: Path) -> None:
    with opened(f"http://{address}/#example", tmp_path) as page:
        said = page.until(
            "tiny", "version 7", "example.png", "example.bin", "in all, as this page saw it", "From above"
        )
    waypoint = re.search(r"waypoints\s+\((\d+\.\d+), -?\d+\.\d+\)", said)
    assert waypoint is not None, said
    assert float(waypoint[1]) > 5


@in_browser
@pytest.mark.slow
def test_the_interface_is_told_with_examples_of_this_model(address: str, tmp_path: Path) -> None:
    examples = ("-F 'sweep=@frame.bin'", 'sweep=Path("frame.bin")', '"sweep": ...,  # FP32 [B, any, 4]')
    with opened(f"http://{address}/docs", tmp_path) as page:
        assert "/v2/models" in page.until(*examples)


@in_browser
@pytest.mark.slow
def test_a_model_of_text_gets_a_page_too(tmp_path: Path) -> None:
    with running(Shelf(), TextPredictor()) as address, opened(f"http://{address}/#example", tmp_path) as page:
        assert "Show where it looks" not in page.until("version 1", "text", "count")


@in_browser
@pytest.mark.slow
def test_where_tokens_are_asked_for_the_page_asks_a_person_and_goes_on_with_it(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text(f"ann viewer {hashlib.sha256(b'secret').hexdigest()}")
    access = Access(Settings.read({"FUSEGPT_HOME": str(tmp_path), "FUSEGPT_TOKENS": str(tmp_path / "tokens")}))
    enter = "document.getElementById('token').value = {}; document.getElementById('door').requestSubmit()"
    with (
        running(Shelf(number=7), TinyPredictor(), access) as address,
        opened(f"http://{address}/#example", tmp_path / "browser") as page,
    ):
        page.until("Your token for this endpoint")
        page.evaluate(enter.format("'guess'"))
        page.until("this token is not known")
        page.evaluate(enter.format("'secret'"))
        page.until("in all, as this page saw it")
        assert page.evaluate("document.getElementById('door') === null")
        page.evaluate("location.href = 'docs'")
        page.until("Bearer $FUSEGPT_TOKEN")
        assert "secret" not in page.text()
