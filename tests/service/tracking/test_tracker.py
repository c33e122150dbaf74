"""What happens in a search is found in MLflow, once, whatever happens on the way."""

from __future__ import annotations

import json
import logging
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from patience import PATIENCE_S, wait_for

from service.events import Search, Trial
from service.settings import Settings
from service.tracking import History, Tracker, replay
from service.tracking import tracker as tracker_module
from service.tracking.recorder import Recorder
from service.tracking.spool import Record
from service.tracking.store import connect
from service.tracking.writer import Writer


def report(tracker: Tracker, trial: Trial, *epochs: int) -> None:
    for epoch in epochs:
        trial.epoch, trial.metrics = epoch, {"val/ade_m": 1.0 / epoch, "train/loss": 2.0 / epoch}
        trial.best = 1.0 / epoch
        tracker.trial_reported(trial)


def end(tracker: Tracker, search: Search, *trials: Trial, state: str = "finished") -> None:
    for trial in trials:
        trial.state = state  # type: ignore[assignment]
        tracker.trial_ended(trial)
    tracker.search_ended(search, list(trials))


def track(settings: Settings, search: Search, trial: Trial, *epochs: int) -> Tracker:
    tracker = Tracker(settings)
    tracker.search_started(search)
    tracker.trial_started(trial)
    report(tracker, trial, *epochs)
    end(tracker, search, trial)
    return tracker


def runs(settings: Settings, kind: str) -> list[Run]:
    client = connect(settings)
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    return list(client.search_runs(ids, f"tags.`fusegpt.kind` = '{kind}'"))


def history(settings: Settings, run: Run, metric: str = "val/ade_m") -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in connect(settings).get_metric_history(run.info.run_id, metric)]


def test_a_search_is_one_parent_run_and_each_trial_a_child_of_it(
    settings: Settings, search: Search, trial: Trial
) -> None:
    second = Trial("t1", 1, {"model.n_head": 8}, search.folder / "t1")
    tracker = Tracker(settings)
    tracker.search_started(search)
    for one in (trial, second):
        tracker.trial_started(one)
        report(tracker, one, 1, 2)
    end(tracker, search, trial, second)

    (parent,), children = runs(settings, "search"), runs(settings, "trial")
    assert parent.info.run_name == "night"
    assert [child.data.tags["mlflow.parentRunId"] for child in children] == [parent.info.run_id] * 2
    assert {child.data.params["model.n_head"] for child in children} == {"2", "8"}
    assert {run.info.status for run in (parent, *children)} == {"FINISHED"}
    assert history(settings, children[0]) == [(1, 1.0), (2, 0.5)]
    assert tracker.run_id(trial) in {child.info.run_id for child in children}


def test_a_trial_has_every_setting_under_its_dotted_key_and_a_search_what_it_searches(
    settings: Settings, search: Search, trial: Trial
) -> None:
    track(settings, search, trial, 1)
    (parent,), (child,) = runs(settings, "search"), runs(settings, "trial")
    expected = search.experiment.trial(trial.drawn).settings()
    for key in ("model.n_head", "model.n_embd", "training.lr", "data.source", "training.seed"):
        assert child.data.params[key] == str(expected[key])
    assert not any(key.startswith(("search.", "resources.")) for key in child.data.params)
    assert json.loads(parent.data.params["search.space"]) == search.experiment.settings()["search.space"]


def test_a_run_says_where_it_comes_from(settings: Settings, search: Search, trial: Trial) -> None:
    (trial.folder / "checkpoint").mkdir(parents=True)
    (trial.folder / "checkpoint" / "progress.json").write_text('{"fingerprint": "abc123"}')
    track(settings, search, trial, 1)
    (parent,), (child,) = runs(settings, "search"), runs(settings, "trial")
    for tag in ("fusegpt.version.torch", "fusegpt.version.ray", "fusegpt.version.mlflow", "fusegpt.host"):
        assert parent.data.tags[tag]
    assert len(parent.data.tags["mlflow.source.git.commit"]) == 40
    assert parent.data.tags["mlflow.source.git.dirty"] in ("true", "false")
    assert (parent.data.tags["fusegpt.data"], child.data.tags["fusegpt.data"]) == ("abc123", "abc123")
    assert child.data.tags["fusegpt.seed"] == str(search.experiment.training.seed)


def test_the_overview_of_the_search_is_a_picture_of_the_parent_run(
    settings: Settings, search: Search, trial: Trial
) -> None:
    track(settings, search, trial, 1, 2, 3)
    (parent,) = runs(settings, "search")
    assert [file.path for file in connect(settings).list_artifacts(parent.info.run_id, "pictures")] == [
        "pictures/search.png",
        "pictures/trials.csv",
    ]


def test_pictures_are_artifacts_that_can_be_read_back_from_a_path_with_a_space(
    settings: Settings, search: Search, trial: Trial
) -> None:
    (trial.folder / "pictures").mkdir(parents=True)
    (trial.folder / "pictures" / "curve.png").write_bytes(b"\x89PNG")
    track(settings, search, trial, 1)
    (child,) = runs(settings, "trial")
    assert "%20" in child.info.artifact_uri
    local = connect(settings).download_artifacts(child.info.run_id, "pictures/curve.png")
    assert Path(local).read_bytes() == b"\x89PNG"
    assert (settings.home / "mlartifacts").is_dir()


@pytest.mark.parametrize(
    ("state", "status"),
    [("finished", "FINISHED"), ("stopped", "FINISHED"), ("cancelled", "KILLED"), ("failed", "FAILED")],
)
def test_how_a_trial_ended_is_its_status_and_its_state(
    settings: Settings, search: Search, trial: Trial, state: str, status: str
) -> None:
    trial.error = "out of memory" if state == "failed" else ""
    tracker = Tracker(settings)
    tracker.search_started(search)
    tracker.trial_started(trial)
    end(tracker, search, trial, state=state)
    (child,) = runs(settings, "trial")
    assert (child.info.status, child.data.tags["fusegpt.state"]) == (status, state)
    assert child.data.tags["fusegpt.error"] == trial.error


def test_what_a_trial_took_over_from_others_is_its_tag(settings: Settings, search: Search, trial: Trial) -> None:
    taken = {"epoch": 1, "source": 3, "value": 0.7, "drawn": {"training.lr": 0.01}}
    trial.exchanges = [taken]
    track(settings, search, trial, 1, 2)
    (run,) = runs(settings, "trial")
    assert json.loads(run.data.tags["fusegpt.exchanges"]) == [taken]


def test_an_interrupted_search_and_what_still_ran_in_it_are_killed_until_they_are_resumed(
    settings: Settings, search: Search, trial: Trial
) -> None:
    tracker = Tracker(settings)
    tracker.search_started(search)
    tracker.trial_started(trial)
    tracker.search_ended(search, [trial])
    (parent,), (child,) = runs(settings, "search"), runs(settings, "trial")
    assert [run.info.status for run in (parent, child)] == ["KILLED", "KILLED"]
    assert [run.data.tags["fusegpt.state"] for run in (parent, child)] == ["interrupted", "interrupted"]
    track(settings, search, trial, 1)
    assert [run.info.status for kind in ("search", "trial") for run in runs(settings, kind)] == ["FINISHED", "FINISHED"]


def test_a_resumed_search_goes_on_in_the_runs_that_it_had_and_doubles_no_epoch(
    settings: Settings, search: Search, trial: Trial
) -> None:
    first = Tracker(settings)
    first.search_started(search)
    first.trial_started(trial)
    report(first, trial, 1, 2, 3)
    first.close()  # the driver dies: neither the trial nor the search ended

    more = search.experiment.override({"search.trials": 99})
    again = replace(search, experiment=more)
    track(settings, again, replace(trial, state="running"), 2, 3, 4)

    (parent,), (child,) = runs(settings, "search"), runs(settings, "trial")
    assert [step for step, _ in history(settings, child)] == [1, 2, 3, 4]
    assert (parent.info.status, child.info.status) == ("FINISHED", "FINISHED")
    assert parent.data.tags["fusegpt.changed.search.trials"] == "99"


def test_what_was_on_the_disk_and_not_yet_tracked_when_the_driver_died_is_tracked_when_it_goes_on(
    settings: Settings, search: Search, trial: Trial
) -> None:
    ended = Trial("t1", 1, {"model.n_head": 8}, search.folder / "t1")
    first = Tracker(settings)
    first.search_started(search)
    for one in (trial, ended):
        first.trial_started(one)
        report(first, one, 1)
    first.close()
    for one in (trial, ended):  # the driver dies between the disk, where a second epoch is, and us
        one.epoch, one.metrics, one.best = 2, {"val/ade_m": 0.5, "train/loss": 1.0}, 0.5
    ended.state = "finished"

    again = Tracker(settings)
    again.search_started(search)
    again.trial_started(trial)
    report(again, trial, 3)
    trial.state = "finished"
    again.trial_ended(trial)
    again.search_ended(search, [trial, ended])

    told = {child.data.tags["fusegpt.trial"]: child for child in runs(settings, "trial")}
    assert {child.info.status for child in told.values()} == {"FINISHED"}
    assert history(settings, told["t0"]) == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    assert history(settings, told["t1"]) == [(1, 1.0), (2, 0.5)]
    assert told["t1"].data.metrics["best/val/ade_m"] == 0.5


def test_the_end_of_a_trial_stays_as_it_is_when_its_search_goes_on(
    settings: Settings, search: Search, trial: Trial
) -> None:
    track(settings, search, trial, 1, 2)
    (before,) = runs(settings, "trial")
    again = Tracker(settings)
    again.search_started(search)
    again.search_ended(search, [trial])
    (after,) = runs(settings, "trial")
    assert after.info.end_time == before.info.end_time


def test_a_spool_that_is_carried_twice_leaves_what_it_leaves_once(
    settings: Settings, search: Search, trial: Trial
) -> None:
    track(settings, search, trial, 1, 2)
    (search.folder / "tracking.done").unlink()
    assert replay(settings) == 0
    (parent,), (child,) = runs(settings, "search"), runs(settings, "trial")
    assert history(settings, child) == [(1, 1.0), (2, 0.5)]
    assert len(history(settings, parent, "best/val/ade_m")) == 1


def test_what_mlflow_missed_is_sent_when_it_is_back(
    settings: Settings, search: Search, trial: Trial, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tracker_module, "WAIT_AWAY_S", 0.0)
    monkeypatch.setattr(tracker_module, "WAIT_S", 3600.0)
    tracker = Tracker(settings.model_copy(update={"tracking_uri": "http://127.0.0.1:9"}))
    with caplog.at_level(logging.WARNING):
        tracker.search_started(search)
        tracker.trial_started(trial)
        report(tracker, trial, 1, 2)
        wait_for(lambda: "does not answer" in caplog.text)
        end(tracker, search, trial)  # and who is known to be away is not waited for
    assert "wait in" in caplog.text
    assert "tracking.jsonl" in caplog.text
    assert caplog.text.count("MLflow at http://127.0.0.1:9 does not answer ([Errno 111] Connection refused); what") == 1
    assert {record.name for record in caplog.records} == {"fusegpt.tracking"}, "its HTTP client says nothing of its own"
    assert runs(settings, "trial") == []

    assert replay(settings) == 0
    (child,) = runs(settings, "trial")
    assert history(settings, child) == [(1, 1.0), (2, 0.5)]
    assert child.info.status == "FINISHED"


def test_mlflow_that_comes_back_in_the_middle_of_a_search_gets_everything(
    settings: Settings, search: Search, trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    up, asked = threading.Event(), threading.Event()

    def flaky(of: Settings) -> MlflowClient:
        asked.set()
        if not up.is_set():
            raise ConnectionRefusedError("nobody there")
        return connect(of)

    monkeypatch.setattr(tracker_module, "WAIT_AWAY_S", PATIENCE_S)
    monkeypatch.setattr("service.tracking.recorder.connect", flaky)
    tracker = Tracker(settings)
    tracker.search_started(search)
    tracker.trial_started(trial)
    report(tracker, trial, 1, 2)
    assert asked.wait(PATIENCE_S)
    up.set()
    report(tracker, trial, 3)
    end(tracker, search, trial)
    (child,) = runs(settings, "trial")
    assert [step for step, _ in history(settings, child)] == [1, 2, 3]


def test_what_was_missed_at_the_end_is_sent_as_soon_as_mlflow_answers_who_registers_the_model(
    settings: Settings, search: Search, trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    up = threading.Event()

    def away(of: Settings) -> MlflowClient:
        if not up.is_set():
            raise ConnectionRefusedError("nobody there")
        return connect(of)

    monkeypatch.setattr(tracker_module, "WAIT_AWAY_S", 0.0)
    monkeypatch.setattr("service.tracking.recorder.connect", away)
    tracker = Tracker(settings)
    tracker.search_started(search)
    tracker.trial_started(trial)
    report(tracker, trial, 1)
    end(tracker, search, trial)
    up.set()
    tracker.carry_the_rest()
    (parent,), (child,) = runs(settings, "search"), runs(settings, "trial")
    assert (parent.info.status, child.info.status) == ("FINISHED", "FINISHED")


def test_the_next_search_sends_what_an_earlier_one_could_not(
    settings: Settings, search: Search, trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracker_module, "WAIT_AWAY_S", 0.0)
    track(settings.model_copy(update={"tracking_uri": "http://127.0.0.1:9"}), search, trial, 1)
    later = replace(search, name="day", folder=settings.runs / "day")
    track(settings, later, Trial("t0", 0, {}, later.folder / "t0"), 1)
    assert {run.info.run_name for run in runs(settings, "search")} == {"night", "day"}


def test_a_server_that_never_answers_does_not_hold_up_the_search(
    settings: Settings, search: Search, trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, held = threading.Event(), threading.Event()
    answered: list[bool] = []

    def never(*_: object) -> None:
        asked.set()
        answered.append(held.wait())

    monkeypatch.setattr(Recorder, "apply", never)
    monkeypatch.setattr(tracker_module, "WAIT_S", 0.1)
    tracker = Tracker(settings)
    tracker.search_started(search)
    report(tracker, trial, *range(1, 101))
    end(tracker, search, trial)
    assert asked.wait(PATIENCE_S)
    assert answered == [], "the search has ended, and the server has not answered"
    held.set()


def test_a_slow_mlflow_is_waited_for_as_long_as_it_takes_records(
    settings: Settings, search: Search, trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, closing = [0.0], threading.Event()

    def slow(self: Recorder, record: Record) -> None:
        closing.wait()
        clock[0] += 0.9
        apply(self, record)

    def awaited(self: Writer, *waits: float) -> bool:
        closing.set()
        return close(self, *waits)

    apply, close = Recorder.apply, Writer.close
    monkeypatch.setattr(Recorder, "apply", slow)
    monkeypatch.setattr(Writer, "close", awaited)
    monkeypatch.setattr("service.tracking.writer.time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(tracker_module, "WAIT_S", 1.0)
    track(settings, search, trial, *range(1, 11))
    (child,) = runs(settings, "trial")
    assert clock[0] > 10, "far longer than it waits for a single record"
    assert len(history(settings, child)) == 10
    assert child.info.status == "FINISHED"


def test_a_tracker_that_cannot_write_says_it_once_and_raises_nothing(
    settings: Settings, search: Search, trial: Trial, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = replace(search, folder=settings.home / "mlflow.db" / "night")
    tracker = Tracker(settings)
    tracker.search_started(blocked)
    tracker.trial_started(trial)
    report(tracker, trial, 1)
    end(tracker, blocked, trial)
    assert len(caplog.records) == 1


def test_a_record_that_mlflow_will_never_take_does_not_block_the_ones_behind_it(
    settings: Settings, search: Search, trial: Trial, caplog: pytest.LogCaptureFixture
) -> None:
    tracker = Tracker(settings)
    tracker.search_started(search)
    tracker.trial_started(trial)
    trial.epoch, trial.metrics = 1, {"no such\nname?*": 1.0}
    tracker.trial_reported(trial)
    report(tracker, trial, 2)
    end(tracker, search, trial)
    (child,) = runs(settings, "trial")
    assert history(settings, child) == [(2, 0.5)]
    assert "was given up" in caplog.text


def test_reports_from_eight_threads_are_all_kept(settings: Settings, search: Search) -> None:
    tracker = Tracker(settings)
    tracker.search_started(search)
    trials = [Trial(f"t{i}", i, {}, search.folder / f"t{i}") for i in range(8)]

    def run(trial: Trial) -> None:
        tracker.trial_started(trial)
        report(tracker, trial, 1, 2, 3)

    threads = [threading.Thread(target=run, args=(trial,)) for trial in trials]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    end(tracker, search, *trials)
    children = runs(settings, "trial")
    assert len(children) == 8
    assert all([step for step, _ in history(settings, child)] == [1, 2, 3] for child in children)


def test_a_broken_curve_shows_that_it_broke(settings: Settings, search: Search, trial: Trial) -> None:
    tracker = Tracker(settings)
    tracker.search_started(search)
    trial.epoch, trial.metrics = 1, {"val/ade_m": float("nan")}
    tracker.trial_reported(trial)
    end(tracker, search, trial)
    (child,) = runs(settings, "trial")
    ((step, value),) = history(settings, child)
    assert step == 1
    assert value != value


def test_what_was_tracked_is_read_back_as_rows(settings: Settings, search: Search, trial: Trial) -> None:
    track(settings, search, trial, 1, 2)
    past = History(settings)
    (row,) = past.searches("fusion_waypoints")
    (one,) = past.trials("night")
    assert (row.name, row.state, row.best, row.best_trial, row.trials) == ("night", "finished", 0.5, "t0", 1)
    assert (one.id, one.state, one.epoch, one.best, one.drawn) == ("t0", "finished", 2, 0.5, {"model.n_head": 2})
    assert one.metrics == {"val/ade_m": 0.5, "train/loss": 1.0}
    assert past.curve(one, "val/ade_m") == [(1, 1.0), (2, 0.5)]
    assert past.searches("another") == []
