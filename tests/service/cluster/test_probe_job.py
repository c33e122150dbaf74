"""The probe on a cluster: what a head may answer, and that nothing is left there. A real head: test_ray_jobs.py."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

import experiments
from fusegpt.experiment import Experiment
from service.cluster import probe, probe_job
from service.cluster.dashboard import Dashboard
from service.cluster.probe import Measured, NotMeasured
from service.settings import Settings

TOOK = Measured(step_s=0.5, epoch_s=36.0, peak_gb=2.0, device="cpu")
NO_AGENT = httpx2.Response(500, text="No available agent to submit job, please try again later.")


class Head:
    """Answers as Ray's head does: each submission by the next of `takes`, a driver's states one after the other."""

    def __init__(self, *takes: httpx2.Response, states: list[str], log: str = "", code: int = 0) -> None:
        self.takes, self.states, self.told, self.code = list(takes), states, log, code
        self.submitted: list[dict[str, object]] = []
        self.stopped: list[str] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.path
        if request.method == "POST" and path == "/api/jobs/":
            answer = self.takes.pop(0) if self.takes else httpx2.Response(200, json={})
            if answer.status_code == 200:
                self.submitted.append(json.loads(request.content))
            return answer
        if path.endswith("/stop"):
            self.stopped.append(path.split("/")[-2])
            return httpx2.Response(200, json={"stopped": True})
        if not self.submitted:
            return httpx2.Response(404, text="it does not exist")
        if path.endswith("/logs"):
            return httpx2.Response(200, json={"logs": self.told})
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        return httpx2.Response(200, json={"status": state, "driver_exit_code": self.code})


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.read({"FUSEGPT_HOME": str(tmp_path / "a home"), "RAY_ADDRESS": "head:6379"})


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_job, "POLL_S", 0.01)
    monkeypatch.setattr(probe_job, "AGAIN_S", 0.01)


def small(**changed: object) -> Experiment:
    return experiments.load("row_classifier").override({"model.n_embd": 8, **changed})


def ask(head: Head, settings: Settings, *models: Experiment, limit_s: float = 60.0) -> list[Measured]:
    seen = Dashboard(settings, httpx2.MockTransport(head))
    return probe_job.probe_on_cluster(models or [small()], settings, seen, limit_s=limit_s)


def test_the_answer_is_in_the_driver_s_log(settings: Settings) -> None:
    said = f"Running entrypoint for job probe: exec python\n{probe.asked([small()])}END\n{TOOK.model_dump_json()}\n"
    head = Head(states=["PENDING", "RUNNING", "SUCCEEDED"], log=said)
    assert ask(head, settings, small(**{"resources.cpus_per_worker": 2})) == [TOOK]
    (asked,) = head.submitted
    assert asked["entrypoint_num_cpus"] == 2
    assert "entrypoint_num_gpus" not in asked
    assert asked["runtime_env"] == {"env_vars": {"CUDA_VISIBLE_DEVICES": ""}}
    assert head.stopped == []


def test_one_that_trains_on_a_gpu_is_given_what_a_worker_gets(settings: Settings) -> None:
    head = Head(states=["SUCCEEDED"], log=TOOK.model_dump_json())
    ask(head, settings, small(**{"resources.gpus_per_worker": 0.5}))
    assert head.submitted[0]["entrypoint_num_gpus"] == 0.5
    assert head.submitted[0]["runtime_env"] == {"env_vars": {}}


def test_the_shell_line_asks_the_probe_itself(settings: Settings) -> None:
    """What Ray runs, run here: the models on its input, in a home with a space."""
    say = "import sys; print(sys.argv[1:]); print(sys.stdin.read(), end='')"
    line = probe_job._line([small(description="it's $HOME")], settings, 60.0, (sys.executable, "-c", say))
    said = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True).stdout
    arguments, _, read = said.partition("\n")
    assert read == probe.asked([small(description="it's $HOME")])
    assert str(settings.cache) in arguments


def test_a_head_that_takes_nothing_yet_is_asked_again(settings: Settings) -> None:
    head = Head(NO_AGENT, NO_AGENT, states=["SUCCEEDED"], log=TOOK.model_dump_json())
    assert ask(head, settings) == [TOOK]


def test_a_head_that_keeps_silent_is_asked_again(settings: Settings) -> None:
    head, silent = Head(states=["SUCCEEDED"], log=TOOK.model_dump_json()), 2

    def answer(request: httpx2.Request) -> httpx2.Response:
        nonlocal silent
        if silent:
            silent -= 1
            raise httpx2.ReadTimeout("timed out", request=request)
        return head(request)

    seen = Dashboard(settings, httpx2.MockTransport(answer))
    assert probe_job.probe_on_cluster([small()], settings, seen) == [TOOK]


def test_a_head_that_took_it_though_it_said_no_is_not_asked_twice(settings: Settings) -> None:
    head = Head(NO_AGENT, states=["SUCCEEDED"], log=TOOK.model_dump_json())
    head.submitted.append({})
    assert ask(head, settings) == [TOOK]
    assert head.submitted == [{}]


class Clock:
    """Only who sleeps has time go by."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    time = monotonic

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(probe_job, "time", clock)
    return clock


def test_a_head_that_never_takes_it_is_told_in_a_sentence(settings: Settings, clock: Clock) -> None:
    head = Head(*[NO_AGENT] * 1000, states=[])
    with pytest.raises(NotMeasured, match=r"took no probe for 0\.3 s: .*No available agent"):
        ask(head, settings, limit_s=0.3)
    assert clock.now <= 0.3


def test_one_that_finds_no_place_is_given_up_and_taken_back(settings: Settings, clock: Clock) -> None:
    head = Head(states=["PENDING"])
    with pytest.raises(NotMeasured, match="no worker's place came free on the cluster"):
        ask(head, settings)
    assert probe_job.PLACED_S < clock.now < probe_job.PLACED_S + 1
    assert head.stopped == [head.submitted[0]["submission_id"]]


@pytest.mark.usefixtures("clock")
def test_one_that_takes_too_long_is_ended(settings: Settings) -> None:
    head = Head(states=["RUNNING"])
    with pytest.raises(NotMeasured, match=r"more than 0\.2 s"):
        ask(head, settings, limit_s=0.2)
    assert head.stopped == [head.submitted[0]["submission_id"]]


def test_an_asker_who_goes_leaves_nothing(settings: Settings, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    head = Head(states=["RUNNING"])
    monkeypatch.setattr(clock, "sleep", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ask(head, settings)
    assert head.stopped == [head.submitted[0]["submission_id"]]


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (
            Head(states=["FAILED"], log="Traceback\nDataError: /data: is not there\n", code=1),
            "DataError: /data: is not",
        ),
        (Head(states=["FAILED"], code=-9), "as the system does where memory runs out"),
        (Head(states=["FAILED"], code=1), "ended without a word"),
        (Head(httpx2.Response(400, text="runtime_env: no"), states=[]), "did not take the job: runtime_env: no"),
        (Head(httpx2.Response(401), states=[]), "asks for another token"),
    ],
)
def test_why_nothing_was_measured_is_one_sentence(settings: Settings, head: Head, said: str) -> None:
    with pytest.raises(NotMeasured, match=said) as why:
        ask(head, settings)
    assert "\n" not in str(why.value)


def test_what_a_cluster_measured_is_kept_apart_from_what_this_machine_would(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe_job, "probe_on_cluster", lambda *_, **__: [TOOK])
    assert probe.probe([small()], settings) == [TOOK]
    assert probe.known([small()], settings) == [TOOK]
    assert probe.known([small()], settings.model_copy(update={"ray_address": ""})) == []


def test_one_that_nobody_waits_for_is_taken_back(settings: Settings) -> None:
    head = Head(states=["PENDING", "RUNNING"])
    seen = Dashboard(settings, httpx2.MockTransport(head))
    looks = iter([False, False, True])
    with pytest.raises(NotMeasured, match="nobody waits"):
        probe_job.probe_on_cluster([small()], settings, seen, gone=lambda: next(looks))
    assert len(head.stopped) == 1


def test_who_asks_the_same_at_once_shares_the_answer(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def slow(models: list[Experiment], *_: object, **__: object) -> list[Measured]:
        asked.append(models)
        time.sleep(0.2)
        return [TOOK] * len(models)

    monkeypatch.setattr(probe_job, "probe_on_cluster", slow)
    with ThreadPoolExecutor(4) as people:
        same = [people.submit(probe.probe, [small()], settings) for _ in range(3)]
        other = people.submit(probe.probe, [small(**{"model.n_embd": 16})], settings)
    assert [one.result() for one in (*same, other)] == [[TOOK]] * 4
    assert len(asked) == 2


def test_nothing_is_measured_for_who_has_left_while_waiting_for_the_turn(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe_job, "probe_on_cluster", lambda *_, **__: pytest.fail("measured"))
    with pytest.raises(NotMeasured, match="nobody waits"):
        probe.probe([small()], settings, gone=lambda: True)
