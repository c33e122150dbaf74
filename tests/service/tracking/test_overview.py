"""What a search found, as pictures with their numbers; what cannot be said is said to be so."""

from __future__ import annotations

import csv
import json
import logging
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fusegpt.figures.search import TrialCurve
from service.events import Search, Trial
from service.settings import Settings
from service.tracking import Tracker, overview, pictures
from service.tracking.description import describe, job_page
from service.tracking.importance import TooFewError, importance
from service.tracking.overview import draw_overview
from service.tracking.pictures import Sketcher
from service.tracking.store import connect

RNG = np.random.default_rng(1)


@pytest.fixture(autouse=True)
def same_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever tests ran before, and however many."""
    monkeypatch.setattr(sys.modules[__name__], "RNG", np.random.default_rng(1))


def score(drawn: dict[str, Any]) -> float:
    """Where the heads make nearly all of it."""
    return 1.0 + 0.1 * float(np.log2(drawn["model.n_head"])) + 0.001 * drawn["model.attn_pdrop"] + 0.01 * RNG.normal()


def drawn() -> dict[str, Any]:
    """One draw from the space of fusion_waypoints."""
    dropouts = {f"model.{name}_pdrop": float(RNG.uniform(0, 0.3)) for name in ("embd", "attn", "resid")}
    return {"model.n_head": int(2 ** RNG.integers(0, 4)), "model.n_embd": int(32 * RNG.integers(1, 7)), **dropouts}


def searched(search: Search, count: int, **metrics: float) -> list[Trial]:
    trials = []
    for number in range(count):
        settings = drawn()
        costs = {name: value * (1 + number) for name, value in metrics.items()}
        value = score(settings)
        folder = search.folder / f"trial_{number:05d}"
        told = {search.metric: value, **costs}
        trials.append(Trial(f"t{number}", number, settings, folder, "finished", 1, told, value))
    return trials


def told(search: Search, trials: list[Trial]) -> dict[str, dict[int, float]]:
    return {trial.id: {1: trial.metrics[search.metric]} for trial in trials}


def names(files: list[Path]) -> set[str]:
    return {file.name for file in files}


def test_a_search_of_enough_trials_says_which_settings_matter(search: Search) -> None:
    trials = searched(search, 24)
    files = draw_overview(search, trials, told(search, trials))
    assert names(files) == {
        *("search.png", "trials.csv", "settings.png", "settings.csv", "importance.png", "importance.json"),
    }
    first, *others = json.loads((search.folder / "pictures" / "importance.json").read_text())["settings"]
    assert (first["key"], first["beyond_chance"]) == ("model.n_head", True)
    assert first["low"] < first["share"] <= 1
    assert first["share"] > max(other["share"] for other in others) + 0.3
    said = describe(search, trials)
    assert f"`model.n_head` {first['share']:.0%}" in said


def test_a_search_of_too_few_trials_says_so_and_draws_no_importance(search: Search) -> None:
    trials = searched(search, 4)
    files = draw_overview(search, trials, told(search, trials))
    assert names(files) == {"search.png", "trials.csv", "importance.json"}
    said = "4 trials have a value; which settings matter is said from 10 on"
    assert json.loads((search.folder / "pictures" / "importance.json").read_text())["note"] == said
    assert said in describe(search, trials)


def test_noise_is_not_said_to_matter() -> None:
    space = {key: one for key, one in _space().items() if key != "model.n_head"}
    trials = [TrialCurve(n, drawn(), [1], [float(RNG.normal())]) for n in range(40)]
    assert sum(share.counts for share in importance(trials, space, "min")) <= 1


def test_one_trial_that_diverged_does_not_become_all_of_the_variance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.tracking.importance.ROUNDS", 2)
    trials = [TrialCurve(n, settings := drawn(), [1], [score(settings)]) for n in range(30)]
    broken = TrialCurve(30, {**drawn(), "model.embd_pdrop": 0.3}, [1], [1e6])
    assert importance([*trials, broken], _space(), "min")[0].key == "model.n_head"


def test_settings_outside_the_space_take_no_part() -> None:
    outside = [TrialCurve(n, {**drawn(), "model.n_head": 3}, [1], [1.0]) for n in range(20)]
    with pytest.raises(TooFewError, match="0 trials have a value"):
        importance(outside, _space(), "min")


def _space() -> dict[str, Any]:
    import experiments

    return experiments.load("fusion_waypoints").search.space


def test_error_against_cost_is_drawn_where_trials_have_costs(search: Search) -> None:
    trials = searched(search, 6, latency_ms=2.0, parameters=1e6)
    files = draw_overview(search, trials, told(search, trials))
    assert {"pareto.png", "pareto.csv"} <= names(files)
    with (search.folder / "pictures" / "pareto.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    best = min(trials, key=lambda trial: trial.metrics[search.metric])
    for against in ("latency_ms", "parameters"):
        front = [int(row["trial"]) for row in rows if row["against"] == against]
        assert front[0] == 0
        assert front[-1] == best.number


def test_the_table_beside_the_curves_has_every_trial_with_its_settings(search: Search) -> None:
    trials = searched(search, 3)
    failed = Trial("t3", 3, drawn(), search.folder / "trial_00003", "failed")
    draw_overview(search, [*trials, failed], told(search, trials))
    with (search.folder / "pictures" / "trials.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    assert [row["state"] for row in rows] == ["finished"] * 3 + ["failed"]
    assert [float(row["best val/ade_m"]) for row in rows[:3]] == [trial.best for trial in trials]
    assert rows[3]["best val/ade_m"] == ""
    assert float(rows[0]["model.attn_pdrop"]) == trials[0].drawn["model.attn_pdrop"]


def test_trials_that_were_stopped_early_are_a_caveat_of_what_is_read_off_settings(
    search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.tracking.importance.ROUNDS", 2)
    trials = searched(search, 12)
    for trial in trials[:5]:
        trial.state = "stopped"
    draw_overview(search, trials, told(search, trials))
    note = json.loads((search.folder / "pictures" / "importance.json").read_text())["note"]
    assert note == "5 of 12 trials were stopped early: a setting that learns slowly looks worse"
    assert describe(search, trials).endswith(f". But {note}")


def test_a_picture_that_cannot_be_drawn_leaves_the_others(
    search: Search, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no ink")

    monkeypatch.setattr("fusegpt.figures.settings.draw_settings", broken)
    trials = searched(search, 6)
    with caplog.at_level(logging.WARNING):
        files = draw_overview(search, trials, told(search, trials))
    assert names(files) == {"search.png", "trials.csv", "importance.json"}
    assert "no ink" in caplog.text


def test_the_run_of_a_job_links_to_the_job_and_a_plain_search_to_none(
    settings: Settings, search: Search, trial: Trial
) -> None:
    for as_job, name in ((True, "night"), (False, "day")):
        one = replace(search, name=name, folder=search.folder.parent / name)
        tracker = Tracker(settings, as_job=as_job)
        tracker.search_started(one)
        tracker.trial_started(trial)
        tracker.search_ended(one, [replace(trial, state="finished", best=0.5)])
    client = connect(settings)
    runs = client.search_runs([e.experiment_id for e in client.search_experiments()], "tags.`fusegpt.kind` = 'search'")
    tags = {run.info.run_name: run.data.tags for run in runs}
    assert tags["night"]["fusegpt.job"] == "night"
    assert "[night](http://127.0.0.1:8701/#night)" in tags["night"]["mlflow.note.content"]
    assert "trial 0, val/ade_m 0.5" in tags["night"]["mlflow.note.content"]
    assert "fusegpt.job" not in tags["day"]
    assert "8701" not in tags["day"]["mlflow.note.content"]


def test_a_job_s_page_is_where_others_can_reach_it_or_is_not_told(settings: Settings, search: Search) -> None:
    everywhere = settings.model_copy(update={"api_host": "0.0.0.0", "api_port": 80})
    assert job_page(everywhere, "night") == ""
    assert job_page(everywhere.model_copy(update={"address": "https://fusegpt.lan"}), "night") == (
        "https://fusegpt.lan/#night"
    )
    assert job_page(settings.model_copy(update={"api_host": "::1"}), "a b") == "http://[::1]:8701/#a%20b"
    assert "Job night: `fusegpt status night`" in describe(search, as_job=True)


def test_pictures_are_drawn_while_the_search_goes_on_and_seldom(
    settings: Settings, search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, drawn_once = [], threading.Event()

    def note(_: Search, trials: list[Trial], told: overview.Told) -> list[Path]:
        seen.append((len(trials), dict(told)))
        drawn_once.set()
        return []

    monkeypatch.setattr(pictures, "PAUSE_S", 0.0)
    monkeypatch.setattr("service.tracking.tracker.draw_overview", note)
    tracker = Tracker(settings)
    tracker.search_started(search)
    monkeypatch.setattr(pictures, "PATIENCE", 1e9)
    for trial in searched(search, 3):
        tracker.trial_started(trial)
        tracker.trial_reported(trial)
        tracker.trial_ended(trial)
        assert drawn_once.wait(60)
    tracker.close()
    assert seen[0][0] == 1
    assert list(seen[0][1]) == ["t0"]
    assert len(seen) == 1


def test_a_search_taken_up_again_is_drawn_once_all_its_trials_are_known(
    settings: Settings, search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "PAUSE_S", 0.0)
    monkeypatch.setattr("service.tracking.tracker.draw_overview", lambda *_: pytest.fail("it knows one of two trials"))
    first, second = searched(search, 2)
    for trial in (first, second):
        trial.folder.mkdir()
    tracker = Tracker(settings)
    tracker.search_started(search)
    tracker.trial_started(second)
    tracker.trial_ended(second)
    assert not tracker.troubled
    tracker.close()
    assert not tracker.troubled


def test_of_an_interrupted_search_the_curves_alone_are_drawn_for_somebody_waits(search: Search) -> None:
    trials = searched(search, 12)
    trials[-1].state = "running"
    files = pictures.draw_search(search, trials, told(search, trials), search.folder / "no cache")
    assert names(files) == {"search.png", "trials.csv"}


def test_a_sketcher_that_is_drawing_is_waited_for_and_then_done() -> None:
    begun, go_on, ended = threading.Event(), threading.Event(), []

    def draw() -> None:
        begun.set()
        go_on.wait(60)
        ended.append(time.monotonic())

    sketcher = Sketcher(draw, pause_s=0.0)
    sketcher.nudge()
    assert begun.wait(60)
    sketcher.nudge()
    go_on.set()
    sketcher.close()
    sketcher.nudge()
    assert len(ended) == 1
