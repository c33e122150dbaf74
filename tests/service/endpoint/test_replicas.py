"""Two replicas behind one port: both answer, both swap, and their counters are one, even after one of them died."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
import tiny_model
from patience import PATIENCE_S, START_S, wait_for
from tiny_model import NEVER_SLOW, ShelfOnDisk, TinyPredictor, form, png, sweep

from service.client import Client
from service.endpoint.config import EndpointConfig
from service.endpoint.server import serve
from service.settings import Settings

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

RIGHT: dict[str, Any] = {"image": png(), "sweep": sweep(), "speed_mps": 5.5, "target_point": (1.0, 0.0)}


def load_telling_who(_folder: Path) -> TinyPredictor:
    """A model that multiplies by the number of its process."""
    return TinyPredictor(float(os.getpid()))


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> ShelfOnDisk:
    return ShelfOnDisk(tmp_path_factory.mktemp("champions"))


@pytest.fixture(scope="module")
def url(shelf: ShelfOnDisk, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    import sys

    from ray import cloudpickle

    modules = [tiny_model, sys.modules[__name__]]
    for module in modules:
        cloudpickle.register_pickle_by_value(module)
    shelf.promote(1)
    settings = Settings.read({"FUSEGPT_HOME": str(tmp_path_factory.mktemp("home")), "FUSEGPT_PORT": "0"})
    config = EndpointConfig(poll_s=0.2, num_replicas=2, cpus_per_replica=0.5, timeout_s=PATIENCE_S, guard=NEVER_SLOW)
    with serve(settings, "tiny", config, partial(ShelfOnDisk, shelf.root), load_telling_who) as endpoint:
        yield endpoint.url
    for module in modules:
        cloudpickle.unregister_pickle_by_value(module)


def who_answers(url: str, version: int) -> int:
    """The process that answered a request with this version; 0 for another version."""
    body = httpx2.post(f"{url}/v1/predict", files=form(target_point=(None, "1,0")), timeout=PATIENCE_S).json()
    return int(body["waypoints"][0][0]) if body["model"]["version"] == version else 0


def told(url: str, name: str) -> float:
    """The sum of a counter's series, as the replica tells that the scrape happens to meet."""
    text = httpx2.get(f"{url}/metrics", timeout=PATIENCE_S).text
    lines = [line for line in text.splitlines() if line.startswith(f"{name}{{")]
    return float(np.sum([float(line.rpartition(" ")[2]) for line in lines]))


def test_both_replicas_answer_swap_and_count_together(url: str, shelf: ShelfOnDisk) -> None:
    answers: list[int] = []

    def both(version: int) -> bool:
        answers.append(who_answers(url, version))
        return len(set(answers) - {0}) == 2

    wait_for(partial(both, 1))
    wait_for(lambda: told(url, "fusegpt_samples_total") == len(answers))
    first = set(answers) - {0}
    asked = len(answers)
    shelf.promote(2)
    answers.clear()
    wait_for(partial(both, 2))
    assert set(answers) - {0} == first, "a swap starts no new process"
    asked += len(answers)
    wait_for(lambda: told(url, "fusegpt_samples_total") == asked)

    # Nothing is tried again here: HAProxy asks the other replica where this one dies with a request in its hands.
    os.kill(first.pop(), signal.SIGKILL)
    answers.clear()
    wait_for(partial(both, 2), START_S)
    asked += len(answers)
    wait_for(lambda: told(url, "fusegpt_samples_total") >= asked)
    with Client(url) as client:
        assert client.predict(**RIGHT).version == 2
