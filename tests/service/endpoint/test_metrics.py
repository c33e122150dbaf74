"""What the endpoint counts, and how several replicas are added up."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient
from tiny_model import form

from service.endpoint import board
from service.endpoint.board import Board
from service.endpoint.champion import Served
from service.endpoint.engine import Engine
from service.endpoint.metrics import Metrics, Totals

Ask = Callable[..., Any]
DASHBOARD = Path(__file__).parents[3] / "docs" / "grafana" / "endpoint.json"


def scraped(client: TestClient) -> dict[tuple[str, str], float]:
    """Sample name and labels (as one text) -> value, as Prometheus reads them."""
    text = client.get("/metrics").text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    found = {(sample.name, ",".join(sorted(sample.labels.values()))): sample.value for sample in samples}
    assert len(found) == len(samples), "a series is told twice"
    return found


def test_answers_are_counted_by_model_version_and_protocol(client: TestClient, ask: Ask) -> None:
    ask()
    ask()
    found = scraped(client)
    assert found["fusegpt_request_seconds_count", "1,form,tiny"] == 2
    assert found["fusegpt_samples_total", "1,tiny"] == 2
    assert found["fusegpt_batch_size_sum", "1,tiny"] == 2
    assert found["fusegpt_queue_requests", "tiny"] == 0


def test_every_stage_of_a_request_is_timed(client: TestClient, ask: Ask) -> None:
    ask()
    found = scraped(client)
    for stage in ("read", "decode", "wait", "forward", "respond"):
        assert found["fusegpt_stage_seconds_count", ",".join(sorted(("1", stage, "tiny")))] == 1, stage
    assert found["fusegpt_stage_seconds_sum", "1,decode,tiny"] > 0


def test_errors_are_counted_by_reason(client: TestClient, ask: Ask) -> None:
    ask(speed_mps=None)
    ask(image=("f.png", b"no picture"))
    client.post("/v2/models/tiny/infer", content=b"{")
    client.post("/v2/models/other/infer", content=b"{}")
    found = scraped(client)
    for reason in ("invalid_input", "format", "broken_request", "not_found"):
        assert found["fusegpt_request_errors_total", ",".join(sorted(("1", reason, "tiny")))] == 1
    assert ("fusegpt_request_seconds_count", "1,form,tiny") not in found


def test_a_client_cannot_make_new_series(client: TestClient) -> None:
    before = len(scraped(client))
    for number in range(5):
        client.post(f"/v2/models/m{number}/infer", content=b"{}")
    assert len(scraped(client)) == before + 1


def snapshots(engine: Engine, *counts: int) -> list[list[Any]]:
    """What replicas would leave that answered so many requests each."""
    engine.watcher.poll()
    served = engine.watcher.served
    assert isinstance(served, Served)
    found = []
    for count in counts:
        metrics = Metrics("tiny")
        for _ in range(count):
            metrics.answered(served, "oip", samples=2, seconds=0.01)
        metrics.queue(count)
        found.append(metrics.snapshot())
    return found


def test_replicas_are_added_up(engine: Engine) -> None:
    totals = Totals(snapshots(engine, 2, 3))
    assert totals.requests("1")[0] == 5
    assert totals.samples("1") == 10
    text = totals.text().decode()
    assert 'fusegpt_queue_requests{model="tiny"} 5.0' in text
    assert 'fusegpt_request_seconds_bucket{le="0.01",model="tiny",protocol="oip",version="1"} 5.0' in text
    assert totals.last_answer_s("1") < 1e11, "moments are not added"


def test_a_dead_replicas_counts_stay_and_its_queue_goes(engine: Engine, monkeypatch: Any) -> None:
    dead, living = snapshots(engine, 2, 3)
    kept = Board()
    kept.exchange("a", dead)
    monkeypatch.setattr(board, "SILENT_S", 0.0)
    text = Totals(kept.exchange("b", living)).text().decode()
    assert 'fusegpt_samples_total{model="tiny",version="1"} 10.0' in text
    monkeypatch.setattr(board, "SILENT_S", 60.0)
    assert 'fusegpt_queue_requests{model="tiny"} 5.0' in Totals(kept.exchange("b", living)).text().decode()


def test_the_dashboard_asks_for_series_that_exist(client: TestClient, ask: Ask, engine: Engine) -> None:
    served = engine.served()
    engine.metrics.version_failed(served)
    engine.metrics.shadowed(served, 0.01, {"waypoints": (0.1, 0.2)})
    engine.metrics.shadow_dropped(served)
    ask()
    ask(speed_mps=None)
    client.post("/v1/predict", files=form())
    told = {name for name, _ in scraped(client)}
    panels = json.loads(DASHBOARD.read_text())["panels"]
    asked = {name for panel in panels for target in panel["targets"] for name in metric_names(target["expr"])}
    assert len(asked) >= 6
    assert asked <= told


def metric_names(expression: str) -> list[str]:
    return re.findall(r"fusegpt_\w+", expression)
