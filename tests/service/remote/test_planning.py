"""What a spec would run and take is said before anything is queued, and what cannot fit is refused, in both modes."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import closing
from http.client import HTTPConnection
from types import SimpleNamespace

import pytest
import typer
from job_modes import FakeRunner, Fusegpt, served
from patience import PATIENCE_S, wait_for

import experiments
from fusegpt.experiment import Resources
from service.api import fitting, planning
from service.api.access import Access
from service.api.services import Services
from service.api.wire import Plan
from service.cluster.probe import Measured, NotMeasured
from service.jobs.job import Job, now
from service.jobs.store import JobStore
from service.registry import Registry
from service.settings import Settings

SPACE = 'search.space={"model.n_embd": [32, 64], "model.n_layer": {"low": 1, "high": 2}}'
CHANGED = ("--set", SPACE, "--set", "search.trials=4", "--set", "training.epochs=9", "--set", "search.algorithm=asha")


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every model takes 36 s an epoch and 2 GB."""
    took = Measured(step_s=0.5, epoch_s=36.0, peak_gb=2.0, device="cpu")
    monkeypatch.setattr("service.cluster.probe.probe", lambda models, *_: [took] * len(models))


def test_a_plan_names_the_sizes_of_the_space_and_starts_nothing(fusegpt: Fusegpt, store: JobStore) -> None:
    told = fusegpt("plan", "norms", *CHANGED, "--json").json
    assert told["smallest"] < told["parameters"] <= told["largest"]
    assert told["smallest_flops"] < told["flops"] <= told["largest_flops"]
    assert told["epochs_in_all"] == 4 * 1 + 2 * 2 + 1 * 6
    for algorithm, epochs in {"tpe": told["epochs_in_all"], "random": 4 * 9}.items():
        changed = (*CHANGED, "--set", f"search.algorithm={algorithm}")
        assert fusegpt("plan", "norms", *changed, "--json").json["epochs_in_all"] == epochs
    assert told["hours"] is None
    text = fusegpt("submit", "norms", *CHANGED, "--dry-run").out
    assert f"{told['largest']:,} (largest, {told['largest_flops'] / 1e6:.3g} MFLOP)" in text
    assert f"{told['largest'] * 16 / 1e6:.3g} MB for the largest one's weights" in text
    assert "not probed: the tests measure nothing" in text
    assert store.jobs() == []


def test_a_model_that_writes_freely_is_counted_by_a_sample_of_its_training(fusegpt: Fusegpt) -> None:
    told = fusegpt("plan", "translation", "--json").json
    assert (told["flops_of"], told["flops"] > 0) == ("a training sample", True)
    assert f"{told['parameters']:,} (default, {told['flops'] / 1e6:.3g} MFLOP a training sample)" in (
        fusegpt("plan", "translation").out
    )
    assert fusegpt("plan", "norms", *CHANGED, "--json").json["flops_of"] == "an answer"


def test_what_a_few_real_steps_took_makes_the_estimate(fusegpt: Fusegpt, measured: None) -> None:
    del measured
    told = fusegpt("plan", "norms", *CHANGED)
    assert told.code == 0
    assert "default 500 ms a step, 36 s an epoch, 2 GB; largest 500 ms a step" in told.out
    assert f"14 epochs, about {14 * 36 / 3600 / 2:.3g} h by the probe" in told.out
    skipped = fusegpt("plan", "norms", *CHANGED, "--no-probe")
    assert "not probed: not asked for" in skipped.out


def test_who_waits_for_a_probe_is_told_what_for(
    fusegpt: Fusegpt, measured: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    del measured
    took, said = Measured(step_s=0.5, epoch_s=36.0, peak_gb=2.0, device="cpu"), threading.Event()

    def say(*text: str, **where: bool) -> None:
        typer.echo(*text, **where)
        said.set()

    def slow(models: list[object], *_: object) -> list[Measured]:
        """As long as it takes until something is said."""
        assert said.wait(PATIENCE_S)
        return [took] * len(models)

    monkeypatch.setattr("service.commands.said.AFTER_S", 0.05)
    monkeypatch.setattr("service.commands.said.typer", SimpleNamespace(echo=say))
    assert "probing" not in fusegpt("plan", "norms", *CHANGED, "--no-probe").err
    monkeypatch.setattr("service.cluster.probe.probe", slow)
    told = fusegpt("plan", "norms", *CHANGED, "--json")
    assert told.json["measured"]["default"]["step_s"] == 0.5
    assert told.err.startswith("probing")
    assert "--no-probe" in told.err


def test_submit_shows_the_plan_first_unless_it_is_to_be_quiet(fusegpt: Fusegpt) -> None:
    told = fusegpt("submit", "norms", "--name", "first", "--no-probe")
    assert told.out.startswith("norms: 20 trials of 12 epochs, by random, for ")
    assert "first is queued\n" in told.out
    assert fusegpt("submit", "norms", "--name", "second", "-q").out.startswith("second is queued")
    assert fusegpt("submit", "norms", "--name", "third", "--json").json["name"] == "third"


def test_what_takes_far_longer_than_its_budget_is_refused(fusegpt: Fusegpt, measured: None, store: JobStore) -> None:
    del measured
    told = fusegpt("submit", "norms", *CHANGED, "--set", "search.budget.hours=0.03", "--name", "long")
    assert told.code == 2
    assert "error: search.budget.hours: is 0.03, and all trials take about 0.07 by the probe" in told.err
    assert store.jobs() == []
    assert fusegpt("submit", "norms", *CHANGED, "--set", "search.budget.hours=0.05", "--name", "near").code == 0
    forced = fusegpt("submit", "norms", *CHANGED, "--set", "search.budget.hours=0.03", "--name", "long", "--force")
    assert forced.code == 0
    assert store.get("long").name == "long"


def test_a_worker_that_no_machine_can_hold_is_refused(
    fusegpt: Fusegpt, measured: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    del measured
    monkeypatch.setattr(fitting, "_of_machine", lambda: 1.5)
    told = fusegpt("plan", "norms", *CHANGED)
    assert told.code == 2
    assert "resources: a worker of the largest model takes 2 GB, and there are 1.5 GB" in told.err
    assert "--force" in told.err
    assert fusegpt("plan", "norms", *CHANGED, "--force").code == 0
    assert fusegpt("plan", "norms", *CHANGED, "--json").json["refusals"] != []


def test_gpu_hours_are_those_of_the_gpus_that_are_held() -> None:
    plan = Plan.model_construct(hours=2.0, hours_from="the probe", gpus=4.0, budget_hours=1.5, budget_gpu_hours=3.0)
    (said,) = fitting._time(plan)
    assert said.startswith("search.budget.gpu_hours: is 3, and all trials take about 8 by the probe")


def test_workers_that_fit_alone_and_not_together_are_refused(
    fusegpt: Fusegpt, measured: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    del measured
    monkeypatch.setattr(fitting, "_of_machine", lambda: 3.0)
    told = fusegpt("plan", "norms", *CHANGED)
    assert told.code == 2
    assert "2 workers of the largest model share 3 GB, and each takes 2 GB; lower resources.concurrent" in told.err
    assert fusegpt("plan", "norms", *CHANGED, "--set", "resources.concurrent_trials=1").code == 0


@pytest.mark.parametrize(("share", "workers"), [(1.0, 1), (0.5, 2), (0.3, 3), (2.0, 1)])
def test_a_gpu_is_shared_by_as_many_workers_as_fit_on_it(
    share: float, workers: int, settings: Settings, store: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "_of_gpu", lambda: 16.0)
    use = Services(settings, store, FakeRunner(settings), Registry(settings), Access(settings))
    assert fitting.room_for(Resources(gpus_per_worker=share), 4, use) == fitting.Room(16.0, workers)


def test_a_cluster_that_is_full_is_not_probed_and_the_plan_says_who_holds_it(
    settings: Settings, store: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def use(address: str) -> Services:
        there = settings.model_copy(update={"ray_address": address})
        return Services(there, store, FakeRunner(there), Registry(there), Access(there))

    assert fitting.full(Resources(), use("head:6379")) == "", "two CPUs are free"
    night = store.submit(Job(id="a", name="night", experiment="norms", spec={}, cpus=1.5, created=now()))
    assert fitting.full(Resources(), use("head:6379")) == "", "it waits, and holds nothing"
    store.update(night, state="starting")
    assert fitting.full(Resources(), use("head:6379")) == "the cluster has no CPU free, held by night"
    assert fitting.full(Resources(cpus_per_worker=0.5), use("head:6379")) == ""
    assert fitting.full(Resources(), use("")) == "", "this machine is shared"

    monkeypatch.setattr("service.cluster.probe.probe", lambda *_: pytest.fail("probed"))
    sizes = planning.sizes_of(experiments.load("norms"))
    assert planning._measured(sizes, None, use("head:6379")) == ({}, "the cluster has no CPU free, held by night")


def test_what_cannot_fit_is_not_tried(fusegpt: Fusegpt, measured: None, monkeypatch: pytest.MonkeyPatch) -> None:
    del measured
    told = fusegpt("plan", "norms", *CHANGED, "--json").json
    default_gb, largest_gb = told["parameters"] * 16 / 1e9, told["state_gb"]
    assert default_gb < largest_gb
    monkeypatch.setattr(fitting, "_of_machine", lambda: (default_gb + largest_gb) / 2)
    told = fusegpt("plan", "norms", *CHANGED, "--json")
    assert list(told.json["measured"]) == ["default"]
    assert "needs at least" in told.err
    monkeypatch.setattr(fitting, "_of_machine", lambda: default_gb / 2)
    assert fusegpt("plan", "norms", *CHANGED, "--json").json["measured"] == {}


def test_models_that_a_constraint_forbids_are_not_planned(fusegpt: Fusegpt) -> None:
    free = fusegpt("plan", "norms", *CHANGED, "--json").json
    most = free["largest"] - 1
    held = fusegpt("plan", "norms", *CHANGED, "--set", f"search.constraints.parameters.max={most}", "--json").json
    assert held["largest"] <= most


def test_a_plan_that_cannot_fit_is_refused(fusegpt: Fusegpt) -> None:
    told = fusegpt("plan", "norms", "--set", "resources.gpus_per_worker=1")
    assert told.code == 2
    assert "1 GPU" in told.err


def test_a_probe_is_told_when_who_asked_for_the_plan_has_hung_up(
    settings: Settings, store: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, told = threading.Event(), threading.Event()

    def listens(_models: list[object], _settings: Settings, gone: Callable[[], bool]) -> list[Measured]:
        assert not gone()
        began.set()
        wait_for(gone)
        told.set()
        raise NotMeasured("nobody waits")

    monkeypatch.setattr("service.cluster.probe.probe", listens)
    with served(settings, FakeRunner(settings), store) as url:
        asked = json.dumps({"spec": {"experiment": "norms"}, "probe": True})
        with closing(HTTPConnection(url.removeprefix("http://"))) as line:
            line.request("POST", "/v1/plan", asked, {"Content-Type": "application/json"})
            assert began.wait(PATIENCE_S)
        assert told.wait(PATIENCE_S)
