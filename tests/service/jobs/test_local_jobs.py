"""Jobs as processes of this machine: started, followed, paused, resumed, stopped, lost and found again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from job_factory import job
from patience import START_S, wait_for

from service.jobs import dispatcher as dispatching
from service.jobs import worker
from service.jobs.dispatcher import Dispatcher
from service.jobs.job import Job
from service.jobs.local_runner import LocalRunner
from service.jobs.retry import RETRIES
from service.jobs.state import JobState
from service.jobs.store import JobStore, amend, open_store
from service.settings import Settings

STANDIN = (sys.executable, str(Path(__file__).parent / "standin_worker.py"))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.read({"FUSEGPT_HOME": str(tmp_path)})


@pytest.fixture
def store(settings: Settings) -> Iterator[JobStore]:
    opened = open_store(settings.store_url)
    yield opened
    opened.close()


@pytest.fixture
def runner(settings: Settings) -> Iterator[LocalRunner]:
    made = LocalRunner(settings, STANDIN)
    yield made
    for child in made._children.values():
        child.kill()
        child.wait()


def until(store: JobStore, dispatcher: Dispatcher, job: Job, *states: JobState) -> Job:
    """Take turns until the job is in one of the states."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        dispatcher.turn()
        present = store.get(job.id)
        if present.state in states:
            return present
        time.sleep(0.05)
    raise AssertionError(f"{present.state}: {present.reason}")


def test_a_job_runs_to_its_end_and_its_log_tells_how(store: JobStore, runner: LocalRunner) -> None:
    asked = store.submit(job("straight"))
    ended = until(store, Dispatcher(store, runner), asked, "succeeded", "failed")
    assert (ended.state, ended.reason, ended.attempts) == ("succeeded", "", 1)
    assert ended.result["trial"] == "trial_00000"
    assert ended.result["best"] == pytest.approx(1 / 3)
    events = store.events(asked.id)
    assert [event.data["to"] for event in events if event.kind == "state"] == [
        "queued",
        "starting",
        "running",
        "succeeded",
    ]
    assert [event.kind for event in events if event.trial == "trial_00001"] == [
        "trial_started",
        *["trial_reported"] * 3,
        "trial_ended",
    ]
    assert [(event.data["state"], event.data["epoch"]) for event in store.trials(asked.id)] == [("finished", 3)] * 2
    assert b"searching straight, resume=False" in runner.read_log(ended, 0)


def test_a_paused_job_keeps_its_trials_and_goes_on(
    store: JobStore, runner: LocalRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FUSEGPT_TEST_SEARCH", "endless")
    dispatcher, asked = Dispatcher(store, runner), store.submit(job("restful"))
    until(store, dispatcher, asked, "running")
    wait_for(lambda: store.trials(asked.id))
    monkeypatch.setattr(runner, "kill", lambda _: pytest.fail("its process was ended"))
    amend(store, asked.id, lambda _: {"state": "pausing"})
    paused = until(store, dispatcher, asked, "paused")
    wait_for(lambda: runner.life(paused) == "gone")
    monkeypatch.setenv("FUSEGPT_TEST_SEARCH", "")
    amend(store, asked.id, lambda _: {"state": "queued"})
    ended = until(store, dispatcher, asked, "succeeded", "failed")
    assert (ended.state, ended.attempts, ended.retries) == ("succeeded", 2, 0)
    assert b"searching restful, resume=True" in runner.read_log(ended, 0)


def test_a_job_that_has_ended_and_is_queued_again_goes_on_in_another_process(
    store: JobStore, runner: LocalRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FUSEGPT_TEST_SEARCH", "nan")
    dispatcher, asked = Dispatcher(store, runner), store.submit(job("again"))
    failed = until(store, dispatcher, asked, "failed")
    assert (failed.failure, failed.ended is None) == ("not_finite", False)
    monkeypatch.setenv("FUSEGPT_TEST_SEARCH", "")
    amend(store, asked.id, lambda _: {"state": "queued", "failure": ""})
    ended = until(store, dispatcher, asked, "succeeded", "failed")
    assert (ended.state, ended.failure, ended.attempts) == ("succeeded", "", 2)
    assert ended.ended is not None
    assert failed.ended is not None
    assert ended.ended > failed.ended
    assert b"searching again, resume=True" in runner.read_log(ended, 0)


def test_a_stopped_job_hears_it_and_is_stopped(
    store: JobStore, runner: LocalRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert worker.LISTEN_S < 1
    monkeypatch.setattr(runner, "kill", lambda _: pytest.fail("its process was ended"))
    monkeypatch.setenv("FUSEGPT_TEST_SEARCH", "endless")
    dispatcher, asked = Dispatcher(store, runner), store.submit(job())
    running = until(store, dispatcher, asked, "running")
    amend(store, asked.id, lambda _: {"state": "stopping", "reason": "stopped by ann"})
    ended = until(store, dispatcher, asked, "stopped")
    assert ended.reason == "stopped by ann"
    wait_for(lambda: runner.life(running) == "gone")


def test_a_job_that_does_not_listen_is_ended(
    store: JobStore, runner: LocalRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FUSEGPT_TEST_SEARCH", "deaf")
    dispatcher, asked = Dispatcher(store, runner, patience_s=0.5), store.submit(job())
    running = until(store, dispatcher, asked, "running")
    amend(store, asked.id, lambda _: {"state": "stopping"})
    until(store, dispatcher, asked, "stopped")
    assert runner.life(running) == "gone"


def test_a_killed_process_is_started_again_from_where_it_was(
    store: JobStore, runner: LocalRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FUSEGPT_TEST_SEARCH", "endless")
    dispatcher, asked = Dispatcher(store, runner), store.submit(job())
    running = until(store, dispatcher, asked, "running")
    wait_for(lambda: store.trials(asked.id))
    assert running.handle is not None
    os.kill(running.handle.pid, signal.SIGKILL)
    monkeypatch.setenv("FUSEGPT_TEST_SEARCH", "")
    ended = until(store, dispatcher, asked, "succeeded", "failed")
    assert (ended.state, ended.attempts, ended.retries) == ("succeeded", 2, 1)
    told = [event.data.get("reason") for event in store.events(asked.id) if event.kind == "state"]
    assert "its process or node was lost: the job's process is gone" in told


def test_a_job_that_loses_its_process_more_often_than_it_is_tried_again_goes_on_if_it_gets_on(
    store: JobStore, runner: LocalRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FUSEGPT_TEST_SEARCH", "endless")
    dispatcher, asked = Dispatcher(store, runner), store.submit(job())
    for attempt in range(RETRIES["lost"] + 2):
        running = until(store, dispatcher, asked, "running")
        # A log as if each attempt had come to another epoch; the stand-in's own begin at 1 again.
        store.append(asked.id, "trial_reported", {"epoch": 100 + attempt, "state": "running"}, "trial_00009")
        assert running.handle is not None
        os.kill(running.handle.pid, signal.SIGKILL)
        wait_for(lambda here=running: runner.life(here) == "gone")
    ended = until(store, dispatcher, asked, "running", "failed")
    assert (ended.state, ended.retries) == ("running", RETRIES["lost"] + 2)


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("bug", "the job failed: ZeroDivisionError: division by zero"),
        (
            "nan",
            "the loss stopped being a finite number, which would happen again: step 7: the loss is not a finite number",
        ),
    ],
)
def test_what_would_come_again_ends_the_job_with_its_cause(
    store: JobStore, runner: LocalRunner, monkeypatch: pytest.MonkeyPatch, how: str, reason: str
) -> None:
    monkeypatch.setenv("FUSEGPT_TEST_SEARCH", how)
    asked = store.submit(job())
    ended = until(store, Dispatcher(store, runner), asked, "succeeded", "failed")
    assert (ended.state, ended.reason, ended.attempts) == ("failed", reason, 1)


def test_an_unreachable_cluster_is_asked_again_later(
    store: JobStore, runner: LocalRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FUSEGPT_TEST_SEARCH", "unreachable")
    dispatcher, asked = Dispatcher(store, runner), store.submit(job())
    until(store, dispatcher, asked, "running", "starting")
    wait_for(lambda: store.get(asked.id).state == "queued")
    again_at = store.get(asked.id).not_before
    assert again_at is not None
    monkeypatch.setattr(dispatching, "now", lambda: again_at - timedelta(seconds=1))
    dispatcher.turn()
    waiting = store.get(asked.id)
    assert waiting.state == "queued"
    assert waiting.reason.startswith("tries again at ")
    assert waiting.reason.endswith("the cluster was unreachable: RAY_ADDRESS: nothing answers")


def test_jobs_outlive_the_service_that_started_them(
    store: JobStore, runner: LocalRunner, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new runner and dispatcher, as after a restart, find the process and start nothing twice."""
    monkeypatch.setenv("FUSEGPT_TEST_SEARCH", "endless")
    asked = store.submit(job())
    running = until(store, Dispatcher(store, runner), asked, "running")
    restarted = LocalRunner(settings, STANDIN)
    assert restarted.life(running) == "alive"
    for _ in range(3):
        Dispatcher(store, restarted).turn()
    assert store.get(asked.id).attempts == 1
    amend(store, asked.id, lambda _: {"state": "stopping"})
    until(store, Dispatcher(store, restarted), asked, "stopped")


def test_a_process_that_got_the_pid_of_a_lost_one_is_left_alone(store: JobStore, runner: LocalRunner) -> None:
    stranger = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        from service.jobs.local_runner import this_process

        began = psutil.Process(stranger.pid).create_time() - 100
        handle = this_process().model_copy(update={"pid": stranger.pid, "began": began})
        lost = store.update(store.submit(job()), state="starting", handle=handle, attempts=1)
        assert runner.life(lost) == "gone"
        runner.kill(lost)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_what_runs_on_another_machine_is_not_called_lost(store: JobStore, runner: LocalRunner) -> None:
    from service.jobs.local_runner import this_process

    handle = this_process().model_copy(update={"host": "another"})
    away = store.update(store.submit(job()), state="starting", handle=handle, attempts=1)
    Dispatcher(store, runner).turn()
    assert store.get(away.id) == away


def test_an_attempt_that_comes_too_late_does_nothing(store: JobStore, runner: LocalRunner, settings: Settings) -> None:
    """Its job was given up and started again meanwhile."""
    asked = store.submit(job("late"))
    first = store.update(asked, state="starting", attempts=1)
    store.update(store.update(first, state="queued"), state="starting", attempts=2)
    runner.start(first)
    wait_for(lambda: b"nothing to do for attempt 1" in runner.read_log(first, 0))
    assert store.get(asked.id).state == "starting"
    assert not (settings.runs / "late").exists()
