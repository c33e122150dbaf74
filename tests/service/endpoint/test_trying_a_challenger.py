"""A canary answers its share, a shadow answers nobody, and a version that misbehaves costs no request."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from patience import PATIENCE_S, wait_for
from starlette.testclient import TestClient
from tiny_model import Arrays, Shelf, TinyPredictor, form

from service.endpoint.app import create_app
from service.endpoint.canary import Draw
from service.endpoint.config import EndpointConfig
from service.endpoint.engine import Engine
from service.endpoint.guard import GuardConfig
from service.endpoint.shadow import differences
from service.endpoint.watcher import Watcher
from service.registry import Rollout

CONFIG = EndpointConfig(
    poll_s=0.02, timeout_s=PATIENCE_S, max_batch_size=4, shadow_queue=4, guard=GuardConfig(min_requests=10)
)
CANARY = Rollout(mode="canary", share=0.25)
SHADOW = Rollout(mode="shadow")
Mood = Callable[[list[Arrays]], list[Arrays]]


class Clock:
    """What a model's work is timed by. A busy machine makes nobody slow: only the models move it."""

    now = 0.0

    def perf_counter(self) -> float:
        return self.now


class Moody(TinyPredictor):
    """Passes its trial; then its mood may change. Each batch takes it 10 ms, or as long as its mood makes it."""

    def __init__(self, factor: float, clock: Clock) -> None:
        super().__init__(factor)
        self.clock = clock
        self.mood: Mood = lambda answers: answers
        self.takes_s = 0.01

    def predict(self, inputs: Sequence[Mapping[str, np.ndarray[Any, Any]]]) -> list[Arrays]:
        self.clock.now += self.takes_s
        return self.mood(super().predict(inputs))


def raises(_: list[Arrays]) -> list[Arrays]:
    raise RuntimeError("out of luck")


def answers_nan(answers: list[Arrays]) -> list[Arrays]:
    return [{**answer, "steer": np.full(1, np.nan, np.float32)} for answer in answers]


MODELS: dict[int, Moody] = {}


@pytest.fixture
def engine(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> Engine:
    clock = Clock()
    monkeypatch.setattr("service.endpoint.batcher.time", clock)
    MODELS.update({number: Moody(float(number), clock) for number in (1, 2, 3)})
    return Engine(Watcher("tiny", shelf, CONFIG, lambda folder: MODELS[int(folder.name)]), CONFIG)


@pytest.fixture
def client(engine: Engine) -> Iterator[TestClient]:
    with TestClient(create_app(engine)) as client:
        yield client


def who(client: TestClient, count: int, headers: Mapping[str, str] | None = None) -> Counter[int]:
    """Which versions answered, by the answer itself; every answer is right and says who made it."""
    seen: Counter[int] = Counter()
    for _ in range(count):
        answer = client.post("/v1/predict", files=form(target_point=(None, "1,0")), headers=headers)
        assert answer.status_code == 200, answer.text
        version = int(answer.json()["waypoints"][0][0])
        assert (answer.headers["Fusegpt-Model-Version"], answer.json()["model"]["version"]) == (str(version), version)
        seen[version] += 1
    return seen


def put(shelf: Shelf, engine: Engine, number: int, rollout: Rollout) -> None:
    shelf.rollout, shelf.challenger = rollout, number
    wait_for(lambda: (line := engine.watcher.lineup).challenger and line.rollout == rollout)


def crown(shelf: Shelf, engine: Engine, number: int) -> None:
    shelf.promote(number)
    wait_for(lambda: engine.served().version == number)


@given(st.floats(0.01, 0.99), st.integers(1, 2000))
def test_the_share_is_kept_at_every_length_of_the_traffic(share: float, count: int) -> None:
    draw = Draw()
    assert abs(sum(draw(7, share, "") for _ in range(count)) - share * count) < 5


@given(st.text(min_size=1, max_size=40), st.floats(0.01, 0.98))
def test_a_request_with_an_id_is_drawn_the_same_again_and_kept_by_a_larger_share(key: str, share: float) -> None:
    drawn = Draw()(7, share, key)
    assert all(Draw()(7, share, key) == drawn for _ in range(3))
    assert Draw()(7, share + 0.01, key) or not drawn


def test_ids_are_drawn_in_the_share_too() -> None:
    assert 180 < sum(Draw()(7, 0.1, f"request-{number}") for number in range(2000)) < 220


def test_a_canary_answers_its_share_until_it_is_ended(client: TestClient, engine: Engine, shelf: Shelf) -> None:
    put(shelf, engine, 2, CANARY)
    assert 9 <= who(client, 40)[2] <= 11
    assert len(who(client, 10, {"X-Request-Id": "the same"})) == 1
    told = client.get("/v1/model").json()
    assert (told["version"], told["challenger"]) == (1, {"version": 2, "mode": "canary", "share": 0.25})
    assert [row["version"] for row in client.post("/v2/repository/index").json()] == ["1", "2"]
    (stats,) = client.get("/v2/models/tiny/versions/2/stats").json()["model_stats"]
    assert (stats["version"], stats["inference_count"] >= 10) == ("2", True)
    shelf.challenger = shelf.rollout = None
    wait_for(lambda: engine.watcher.lineup.challenger is None)
    assert who(client, 10) == {1: 10}


def test_a_canary_that_is_promoted_is_not_loaded_again(client: TestClient, engine: Engine, shelf: Shelf) -> None:
    put(shelf, engine, 2, CANARY)
    shelf.challenger = shelf.rollout = None
    crown(shelf, engine, 2)
    assert who(client, 10) == {2: 10}
    assert shelf.fetched == [1, 2]


@pytest.mark.parametrize("mood", [raises, answers_nan])
def test_a_canary_that_fails_costs_no_request_and_is_withdrawn_with_its_reason(
    client: TestClient, engine: Engine, shelf: Shelf, mood: Mood
) -> None:
    put(shelf, engine, 2, CANARY)
    MODELS[2].mood = mood
    assert who(client, 60) == {1: 60}
    wait_for(lambda: shelf.withdrawn)
    assert shelf.withdrawn == {2: "100.0% of its last 10 requests failed, 0.0% of the former version's"}
    assert engine.watcher.lineup.challenger is None
    assert 'fusegpt_version_errors_total{model="tiny",version="2"} 10.0' in client.get("/metrics").text


@pytest.mark.parametrize("mood", [raises, answers_nan])
def test_a_new_champion_that_fails_costs_no_request_and_the_former_one_is_champion_again(
    client: TestClient, engine: Engine, shelf: Shelf, mood: Mood
) -> None:
    crown(shelf, engine, 2)
    MODELS[2].mood = mood
    assert who(client, 20) == {1: 20}
    wait_for(lambda: shelf.number == 1)
    assert list(shelf.withdrawn) == [2]
    assert shelf.fetched == [1, 2], "the way back loads nothing"


def test_a_new_champion_that_is_slower_beyond_its_limit_is_rolled_back(
    client: TestClient, engine: Engine, shelf: Shelf
) -> None:
    who(client, 30)
    crown(shelf, engine, 2)
    MODELS[2].takes_s = 0.03
    who(client, 12)
    wait_for(lambda: shelf.number == 1)
    assert shelf.withdrawn[2] == "its p95 is 3.0x that of version 1 for batches of the same size"
    assert who(client, 3) == {1: 3}


def test_a_bad_request_is_never_the_versions_failure(client: TestClient, engine: Engine, shelf: Shelf) -> None:
    crown(shelf, engine, 2)
    for _ in range(20):
        assert client.post("/v1/predict", files=form(speed_mps=(None, "-1"))).status_code == 422
    looks = shelf.asked
    wait_for(lambda: shelf.asked > looks + 2)  # each comes after a judgement
    assert (engine.served().version, shelf.withdrawn) == (2, {})


def test_a_registry_that_is_down_does_not_hold_up_the_way_back(
    client: TestClient, engine: Engine, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    crown(shelf, engine, 2)
    with monkeypatch.context() as broken:
        broken.setattr(shelf, "withdraw", lambda *_: (_ for _ in ()).throw(ConnectionError("no registry")))
        MODELS[2].mood = raises
        assert who(client, 20) == {1: 20}
        wait_for(lambda: engine.served().version == 1)
        wait_for(lambda: "no registry" in engine.watcher.trouble)
        assert (engine.served().version, shelf.number) == (1, 2)
    wait_for(lambda: shelf.number == 1)
    assert engine.served().version == 1


def test_a_shadow_answers_nobody_and_its_differences_are_told(client: TestClient, engine: Engine, shelf: Shelf) -> None:
    put(shelf, engine, 3, SHADOW)

    def shadow() -> dict[str, Any]:
        champion, challenger = client.get("/v2/models/tiny/stats").json()["model_stats"]
        assert (champion["version"], challenger["version"]) == ("1", "3")
        return dict(challenger["shadow"])

    for number in range(1, 21):
        assert who(client, 1) == {1: 1}
        wait_for(lambda number=number: shadow()["compared"] == number)
    told = shadow()
    assert (told["failed"], told["dropped"]) == (0, 0)
    assert told["differences"]["waypoints"] == {"mean": pytest.approx(1.0), "max": pytest.approx(2.0)}
    assert told["differences"]["steer"] == {"mean": 0.0, "max": 0.0}
    assert client.post("/v2/models/tiny/versions/3/infer", content=b"{}").status_code == 404


def test_a_shadow_that_hangs_or_fails_delays_and_fails_no_request(
    client: TestClient, engine: Engine, shelf: Shelf
) -> None:
    put(shelf, engine, 3, SHADOW)
    go = threading.Event()

    def hangs_then_raises(_: list[Arrays]) -> list[Arrays]:
        assert go.wait(PATIENCE_S)
        raise RuntimeError("out of luck")

    def lost(reason: str) -> float:
        told = f'fusegpt_shadow_lost_total{{model="tiny",reason="{reason}",version="3"}} '
        return sum(float(line[len(told) :]) for line in client.get("/metrics").text.splitlines() if told in line)

    MODELS[3].mood = hangs_then_raises
    assert who(client, 30) == {1: 30}
    assert lost("dropped") >= 25, "one hangs, four wait behind it"
    assert lost("failed") == 0
    go.set()
    wait_for(lambda: lost("failed") + lost("dropped") == 30)
    assert lost("failed") > 0


def test_texts_differ_or_do_not_and_another_shape_is_an_error() -> None:
    one = {"text": np.asarray("left"), "count": np.array([2])}
    other = {"text": np.asarray("right"), "count": np.array([5])}
    assert differences(one, other) == {"count": (3.0, 3.0), "text": (1.0, 1.0)}
    with pytest.raises(ValueError, match="count has shape"):
        differences(one, {"count": np.zeros(3)})
