"""The job service in both modes: in the command's own process, and behind a real socket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from job_modes import FakeRunner, Fusegpt, served, told_by
from patience import wait_for

from service.cluster.probe import Measured, NotMeasured
from service.jobs.job import Job
from service.jobs.store import JobStore, open_store
from service.settings import Settings


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("FUSEGPT_HOME", str(tmp_path / "home"))
    return Settings.read()


@pytest.fixture
def store(settings: Settings) -> Iterator[JobStore]:
    store = open_store(settings.store_url)
    yield store
    store.close()


@pytest.fixture(autouse=True)
def nothing_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """A probe takes seconds; those of these tests say that they measure nothing."""

    def probe(*_: object) -> list[Measured]:
        raise NotMeasured("the tests measure nothing")

    monkeypatch.setattr("service.cluster.probe.probe", probe)


@pytest.fixture(params=["in this process", "over HTTP"])
def mode(
    request: pytest.FixtureRequest, settings: Settings, store: JobStore, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    runner = FakeRunner(settings)
    if request.param == "in this process":
        monkeypatch.setattr("service.in_process.LocalRunner", lambda _settings: runner)
        monkeypatch.setattr("service.in_process.start_keeper", lambda _settings: None)
        yield request.param
        return
    with served(settings, runner, store) as url:
        monkeypatch.setenv("FUSEGPT_ADDRESS", url)
        yield request.param


@pytest.fixture
def fusegpt(mode: str, capfd: pytest.CaptureFixture[str]) -> Fusegpt:
    """The command, in the mode of this test."""
    del mode
    return lambda *arguments: told_by(capfd, *arguments)


@pytest.fixture
def job(fusegpt: Fusegpt, store: JobStore) -> Job:
    """A job `night` that runs."""
    told = fusegpt("submit", "norms", "--name", "night", "--quiet")
    assert told.code == 0, told.err
    wait_for(lambda: store.get("night").state == "running")
    return store.get("night")
