"""What was searched is listed and compared with a server as without one, whether it was a job or not."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from job_modes import Fusegpt
from tracked import track

import experiments
from service.cluster.record import TrialRecord, write_search, write_trial
from service.events import Search
from service.jobs.job import Job
from service.jobs.store import JobStore
from service.settings import Settings


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow with two searches of one experiment: `early` and, better, `late`."""
    settings = Settings.read({"FUSEGPT_HOME": str(tmp_path_factory.mktemp("tracked"))})
    experiment = experiments.load("row_classifier").override({"search.algorithm": "random"})
    track(settings, "early", experiment, [({"model.n_embd": 8}, 0.5), ({"model.n_embd": 16}, 0.6)])
    track(settings, "late", experiment, [({"model.n_embd": 32}, 0.9)])
    return settings.home / "mlflow.db"


@pytest.fixture
def settings(tmp_path: Path, database: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    (tmp_path / "home").mkdir()
    shutil.copy(database, tmp_path / "home" / "mlflow.db")
    monkeypatch.setenv("FUSEGPT_HOME", str(tmp_path / "home"))
    return Settings.read()


def test_searches_are_listed_newest_first_with_their_best_and_the_champion(fusegpt: Fusegpt) -> None:
    told = fusegpt("ls")
    assert told.code == 0, told.err
    late, early, champion = told.out.splitlines()
    assert late.split()[:4] == ["late", "finished", "1", "trials"]
    assert "0.9" in late
    assert early.startswith("early ")
    assert champion == "champion of row_classifier: none"
    listed = fusegpt("ls", "row_classifier", "--json").json
    assert [each["name"] for each in listed["searches"]] == ["late", "early"]
    assert listed["champions"] == {"row_classifier": None}
    assert fusegpt("ls", "norms").out.startswith("no search yet")


def test_the_best_is_that_of_a_search_or_of_an_experiment(fusegpt: Fusegpt) -> None:
    told = fusegpt("best", "row_classifier")
    assert told.code == 0, told.err
    assert told.out.startswith("trial_00000 of late: ")
    assert "model.n_embd           32" in told.out
    best = fusegpt("best", "early", "--json").json
    assert (best["search"]["name"], best["trial"]["number"], best["trial"]["best"]) == ("early", 1, 0.6)
    assert fusegpt("best", "norms").code == 3
    missed = fusegpt("best", "earli")
    assert (missed.code, missed.err) == (3, "error: there is no search 'earli' (did you mean early?)\n")


def test_the_front_of_a_search_with_several_objectives_is_shown(fusegpt: Fusegpt, settings: Settings) -> None:
    asked = experiments.load("row_classifier").override({"search.objectives": ["parameters"]})
    search = Search("several", asked, settings.runs / "several", "val/accuracy", "max")
    write_search(search)
    for number, (value, parameters) in enumerate([(0.9, 500.0), (0.8, 100.0), (0.7, 200.0)]):
        metrics = {"val/accuracy": value, "parameters": parameters}
        write_trial(search, TrialRecord(number=number, drawn={}, state="finished", values={1: value}, metrics=metrics))
    told = fusegpt("best", "several", "--pareto")
    assert told.code == 0, told.err
    assert [line.split()[0] for line in told.out.splitlines()] == ["trial", "trial_00000", "trial_00001"]
    write_search(replace(search, experiment=asked.override({"search.objectives": []})))
    missed = fusegpt("best", "several", "--pareto")
    assert (missed.code, "several: has no search.objectives beside val/accuracy" in missed.err) == (2, True)
    assert fusegpt("best", "never", "--pareto").code == 3


def test_searches_that_were_no_jobs_are_compared_too(fusegpt: Fusegpt) -> None:
    told = fusegpt("compare", "early", "late", "early/0")
    assert told.code == 0, told.err
    rows = {words[0]: words[1:] for line in told.out.splitlines()[1:] if (words := line.split())}
    assert rows["trial"] == ["trial_00001", "trial_00000", "trial_00000"]
    assert rows["model.n_embd"] == ["16", "32", "8"]
    assert rows["best"] == ["0.6", "0.9", "0.5"]
    missed = fusegpt("compare", "early", "latest")
    assert (missed.code, missed.err) == (3, "error: there is no job and no search 'latest'\n")
    assert fusegpt("compare", "early", "late/7").code == 3


def test_a_job_and_a_search_differ_only_in_what_differs(fusegpt: Fusegpt, store: JobStore) -> None:
    assert fusegpt("submit", "row_classifier", "--name", "night", "-q", "--set", "search.trials=3").code == 0
    job: Job = store.get("night")
    line = {"number": 0, "state": "finished", "drawn": {"model.n_embd": 8}, "epoch": 2, "best": 0.7, "seconds": 1.0}
    store.append(job.id, "trial_ended", {**line, "metrics": {}, "error": ""}, "trial_00000")
    told = fusegpt("compare", "night/0", "early/0", "--json").json
    assert told["settings"] == [], json.dumps(told["settings"])
    assert told["compared"]["early/0"]["metrics"]["best"] == 0.5
