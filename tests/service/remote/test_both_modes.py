"""The job verbs say and do the same with a server and without one."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from job_modes import Fusegpt
from patience import wait_for

from service.cluster.notes import is_cancelled
from service.cluster.record import Spent, TrialRecord, write_search, write_spent, write_trial
from service.events import Search
from service.jobs.job import Job
from service.jobs.store import JobStore
from service.settings import Settings
from service.spec import JobSpec, resolve


def begun(settings: Settings, job: Job, trials: int, seconds: float) -> None:
    """What a search leaves on disk that has begun so many trials and has run for so long."""
    folder = settings.runs / job.name
    search = Search(job.name, resolve(JobSpec.model_validate(job.spec)), folder, "val/ade_m", "min")
    write_search(search)
    for number in range(trials):
        write_trial(search, TrialRecord(number=number, drawn={}, state="finished", values={1: 0.7}))
    write_spent(folder, Spent(seconds=seconds))


def trial(store: JobStore, job: Job, number: int, best: float, drawn: dict[str, Any], state: str = "finished") -> None:
    told = {"number": number, "state": state, "drawn": drawn, "epoch": 3, "best": best, "seconds": 12.0, "error": ""}
    store.append(job.id, "trial_reported", {**told, "metrics": {"val/ade_m": best}}, f"trial_{number:05d}")


def test_a_submitted_job_is_told_listed_and_running(fusegpt: Fusegpt, job: Job) -> None:
    listed = fusegpt("jobs")
    assert listed.code == 0
    assert listed.out.startswith("night ")
    assert " running " in listed.out
    assert [each["id"] for each in fusegpt("jobs", "--json").json["jobs"]] == [job.id]
    assert fusegpt("jobs", "translation").out.startswith("no job yet")


def test_submit_says_what_to_do_next(fusegpt: Fusegpt) -> None:
    told = fusegpt("submit", "norms", "--name", "first", "--quiet")
    assert (told.code, told.out) == (
        0,
        "first is queued\nwatch it: fusegpt logs -f first\nstop it:  fusegpt cancel first\n",
    )


def test_a_job_tells_how_far_it_is(fusegpt: Fusegpt, job: Job, store: JobStore) -> None:
    trial(store, job, 0, 0.9, {"model.norm": "layer"})
    trial(store, job, 1, 0.7, {"model.norm": "rms"}, "running")
    told = fusegpt("status", "night")
    assert told.code == 0
    assert told.out.splitlines()[0] == "night is running"
    assert "2 of 4 trials: 1 finished, 1 running" in told.out
    assert "val/ade_m: best so far 0.7 (trial_00001)" in told.out
    assert "model.norm=rms" in told.out
    assert fusegpt("status", job.id, "--json").json["progress"]["best"] == 0.7


def test_a_job_rests_goes_on_and_is_cancelled(fusegpt: Fusegpt, job: Job, store: JobStore) -> None:
    assert " pausing " in fusegpt("pause", "night").out
    store.update(store.get(job.id), state="paused")
    assert " queued " in fusegpt("resume", "night").out
    assert fusegpt("cancel", "night", "--json").json["state"] in ("stopping", "stopped")


def test_one_trial_is_cancelled_and_the_job_goes_on(
    fusegpt: Fusegpt, job: Job, store: JobStore, settings: Settings
) -> None:
    trial(store, job, 0, 0.9, {"model.norm": "layer"}, "running")
    trial(store, job, 1, 0.7, {"model.norm": "rms"})
    told = fusegpt("cancel", "night", "--trial", "0")
    assert told.code == 0
    assert told.out.startswith("trial_00000  cancelling")
    assert is_cancelled(settings.runs / "night" / "trial_00000")
    assert fusegpt("cancel", "night", "--trial", "0").code == 0, "to say it twice is to say it once"
    assert fusegpt("cancel", "night", "--trial", "2", "--json").json["state"] == "cancelled"
    told = fusegpt("cancel", "night", "--trial", "1")
    assert (told.code, told.err) == (
        4,
        "error: trial_00001 of job night is finished: there is nothing to cancel\n",
    )
    assert fusegpt("cancel", "night", "--trial", "999").code == 3
    states = [each["state"] for each in fusegpt("status", "night", "--json").json["trials"]]
    assert states == ["cancelling", "finished", "cancelled"]
    assert store.get(job.id).state == "running"


def test_priority_and_budget_are_changed_where_they_may_be(fusegpt: Fusegpt, job: Job, store: JobStore) -> None:
    told = fusegpt("set", "night", "--priority", "5")
    assert (told.code, told.out) == (0, "night is running, priority 5\n")
    told = fusegpt("set", "night", "--hours", "2")
    assert (told.code, "its search has read its budget" in told.err) == (4, True)
    fusegpt("pause", "night")
    store.update(store.get(job.id), state="paused")
    told = fusegpt("set", "night", "--hours", "2", "--trials", "3")
    assert (told.code, told.out) == (0, "night is paused, priority 5, hours 2, trials 3\n")
    assert store.get("night").spec["set"]["search.budget.hours"] == 2
    assert fusegpt("set", "night", "--priority", "5000").code == 2
    assert fusegpt("set", "night", "--hours", "-1").code == 2
    nothing = fusegpt("set", "night")
    assert (nothing.code, "--priority, --hours, --gpu-hours or --trials" in nothing.err) == (2, True)


def test_a_job_that_has_succeeded_goes_on_with_more_than_it_had(
    fusegpt: Fusegpt, job: Job, store: JobStore, settings: Settings
) -> None:
    begun(settings, job, trials=4, seconds=5400)
    store.update(store.get(job.id), state="succeeded", result={"metric": "val/ade_m", "best": 0.7})
    less = fusegpt("resume", "night", "--trials", "3")
    assert (less.code, less.err) == (2, "error: search.trials: 4 have begun already; ask for that or more in all\n")
    less = fusegpt("resume", "night", "--hours", "1")
    assert (less.code, "error: search.budget.hours: 1.5 h are spent already" in less.err) == (2, True)
    for same in ((), ("--trials", str(resolve(JobSpec.model_validate(job.spec)).search.trials))):
        told = fusegpt("resume", "night", *same)
        assert (told.code, "job night has succeeded: to go on it needs more than it had" in told.err) == (4, True)
    assert fusegpt("set", "night", "--trials", "48").code == 4
    told = fusegpt("resume", "night", "--trials", "48", "--hours", "2", "--json")
    assert (told.code, told.json["ended"]) == (0, None), told.err
    extended = store.get("night")
    search = resolve(JobSpec.model_validate(extended.spec)).search
    assert (search.trials, search.budget.hours) == (48, 2)
    said = next(each.data["reason"] for each in store.events(job.id) if each.data.get("from") == "succeeded")
    assert said == "extended by local: search.budget.hours 2, search.trials 48"
    wait_for(lambda: store.get(job.id).state == "running")  # started again, by whoever looks after the queue
    assert fusegpt("resume", "night").code == 0, "it goes on already"
    assert "its search has read its budget" in fusegpt("resume", "night", "--trials", "50").err


def test_a_job_that_was_cancelled_or_failed_goes_on_unless_its_spec_is_wrong(
    fusegpt: Fusegpt, job: Job, store: JobStore
) -> None:
    fusegpt("cancel", "night")
    store.update(store.get(job.id), state="stopped")
    assert fusegpt("resume", "night").code == 0
    wait_for(lambda: store.get(job.id).state == "running")
    store.update(store.get(job.id), state="failed", reason="its node was lost (after 3 retries)", retries=3)
    assert fusegpt("resume", "night").code == 0
    wait_for(lambda: store.get(job.id).state == "running")
    present = store.get(job.id)
    assert (present.retries, present.attempts) == (0, 3)
    store.update(present, state="failed", reason="the spec is wrong: no such figure", failure="spec")
    told = fusegpt("resume", "night", "--trials", "48")
    said = "job night has failed (the spec is wrong: no such figure): submit it again with another spec"
    assert (told.code, told.err) == (4, f"error: {said}\n")


def test_a_population_that_rests_does_not_grow(fusegpt: Fusegpt, job: Job, store: JobStore, settings: Settings) -> None:
    space = {"training.lr": {"low": 0.001, "high": 0.01, "log": True}}
    asked = {"search.algorithm": "pbt", "search.trials": 4, "search.space": space, "training.epochs": 4}
    store.update(store.get(job.id), spec={**job.spec, "set": asked})
    begun(settings, store.get(job.id), trials=4, seconds=1)
    fusegpt("pause", "night")
    store.update(store.get(job.id), state="paused")
    for verb in ("set", "resume"):
        told = fusegpt(verb, "night", "--trials", "8")
        assert (told.code, "error: search.trials: a population cannot grow" in told.err) == (2, True), told.err
    assert " queued " in fusegpt("resume", "night", "--hours", "3").out
    assert store.get("night").spec["set"]["search.budget.hours"] == 3


@pytest.mark.parametrize("verb", ["status", "logs", "cancel", "pause", "resume"])
@pytest.mark.parametrize("name", ["nights", "no job"])
def test_a_job_that_there_is_not_is_not_found(fusegpt: Fusegpt, verb: str, name: str) -> None:
    told = fusegpt(verb, name)
    assert (told.code, told.err) == (3, f"error: there is no job {name!r}\n")


def test_what_a_job_s_state_does_not_allow_is_a_conflict(fusegpt: Fusegpt, job: Job, store: JobStore) -> None:
    store.update(store.get(job.id), state="failed", reason="it broke")
    told = fusegpt("cancel", "night")
    assert (told.code, told.err) == (4, "error: job night is failed: there is nothing to cancel\n")
    assert fusegpt("submit", "norms", "--name", "night").code == 4


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("norm",), "error: experiment: there is no 'norm' (did you mean norms?)"),
        (("norms", "--set", "modle.n_head=2"), "modle"),
        (("norms", "--set", "resources.cpus_per_worker=64"), "error: resources: a trial takes 1 x 64 CPU"),
        (("norms", "--priority", "5000"), "error: priority: Input should be less than or equal to 1000"),
        (("norms", "--name", "a b"), "error: name: 'a b' must be letters"),
    ],
)
def test_a_bad_spec_names_the_key_and_starts_nothing(
    fusegpt: Fusegpt, arguments: tuple[str, ...], said: str, store: JobStore
) -> None:
    told = fusegpt("submit", *arguments)
    assert told.code == 2
    assert said in told.err
    assert store.jobs() == []


def test_a_spec_file_is_read_where_the_command_is(fusegpt: Fusegpt, tmp_path: Path, store: JobStore) -> None:
    (tmp_path / "job.yaml").write_text("experiment: norms\nname: mine\nsearch: {trials: 3}\n")
    assert fusegpt("submit", str(tmp_path / "job.yaml"), "--set", "search.trials=2").code == 0
    assert store.get("mine").spec["set"]["search.trials"] == 2
    assert fusegpt("submit", str(tmp_path / "other.yaml")).code == 2


def test_logs_follow_to_the_end_and_end_as_the_job_did(
    fusegpt: Fusegpt, job: Job, store: JobStore, settings: Settings
) -> None:
    log = settings.home / "log"
    log.write_text("one\n")
    assert fusegpt("logs", "night").out == "one\n"

    def go_on() -> None:
        time.sleep(0.3)
        with log.open("a") as file:
            file.write("two\n")
        store.update(store.get(job.id), state="failed", reason="NaN loss at step 7")

    thread = threading.Thread(target=go_on)
    thread.start()
    told = fusegpt("logs", "-f", "night")
    thread.join()
    assert (told.code, told.out) == (1, "one\ntwo\n")
    assert told.err.endswith("error: job night failed: NaN loss at step 7\n")


def test_following_a_job_that_has_succeeded_ends_well(fusegpt: Fusegpt, job: Job, store: JobStore) -> None:
    result = {"metric": "val/ade_m", "best": 0.5, "trial": "trial_00001", "version": 4}
    store.update(store.get(job.id), state="succeeded", result=result)
    told = fusegpt("logs", "-f", "night")
    assert told.code == 0
    assert "val/ade_m 0.5 by trial_00001, version 4" in told.out
    assert fusegpt("logs", "-f", "night", "--json").json["state"] == "succeeded"


def test_an_interrupted_follower_leaves_the_job_alone(
    fusegpt: Fusegpt, job: Job, store: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("service.commands.jobs._until_its_end", interrupted)
    told = fusegpt("logs", "-f", "night")
    assert told.code == 130
    assert "job night lives on" in told.err
    assert store.get(job.id).state == "running"


def test_two_trials_are_compared_by_what_differs(fusegpt: Fusegpt, job: Job, store: JobStore) -> None:
    trial(store, job, 0, 0.9, {"model.n_head": 2, "model.attn_pdrop": 0.1})
    trial(store, job, 1, 0.7, {"model.n_head": 4, "model.attn_pdrop": 0.1})
    told = fusegpt("compare", "night/trial_00000", "night")
    rows = {words[0]: words[1:] for line in told.out.splitlines()[1:] if (words := line.split())}
    assert rows["trial"] == ["trial_00000", "trial_00001"]
    assert rows["model.n_head"] == ["2", "4"]
    assert rows["val/ade_m"] == ["0.9", "0.7"]
    assert "model.attn_pdrop" not in rows
    assert fusegpt("compare", "night").code == 2
    assert fusegpt("compare", "night", "night/7").code == 3
