"""A few real steps are measured in a process of their own, once."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import experiments
from fusegpt.experiment import Experiment
from service.cluster import probe
from service.cluster.probe import Measured, NotMeasured
from service.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "a home", tracking_uri="")


def small(**changed: object) -> Experiment:
    return experiments.load("row_classifier").override({"model.n_embd": 8, **changed})


def test_a_few_steps_of_the_real_training_are_timed(settings: Settings) -> None:
    experiment = small()
    took = probe.measure(experiment, settings.cache)
    splits = experiment.task.build(experiment).open_splits(settings.cache)
    steps = -(-len(splits.train) // experiment.training.batch_size)
    assert took.epoch_s / took.step_s > steps, "the validation comes on top"
    assert took.step_s > 0
    assert 0.05 < took.peak_gb < 10


@pytest.mark.parametrize(("step_s", "steps"), [(0.01, probe.STEPS), (2.0, 2), (9.0, 1)])
def test_enough_is_a_warm_up_and_a_few_steps_fewer_where_they_are_slow(
    monkeypatch: pytest.MonkeyPatch, step_s: float, steps: int
) -> None:
    clock = itertools.count(0.0, step_s)
    monkeypatch.setattr(probe, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    stamps: list[float] = []
    asked = 1
    while not probe._enough(stamps):
        asked += 1
    assert asked == 1 + probe.WARM_UP + steps


@pytest.mark.slow
def test_what_was_measured_is_kept(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    models = [small(), small(**{"model.n_embd": 16})]
    monkeypatch.setattr(probe.probe_here, "__defaults__", (110.0,))
    first = probe.probe(models, settings)
    assert len(first) == 2
    monkeypatch.setattr(probe, "probe_here", lambda *_, **__: pytest.fail("measured again"))
    assert probe.probe(models, settings) == first
    with pytest.raises(pytest.fail.Exception):
        probe.probe(models[::-1], settings)


def test_one_that_takes_too_long_or_fails_says_so(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def late(*_: object, **__: object) -> None:
        raise subprocess.TimeoutExpired("probe", 20)

    monkeypatch.setattr("service.cluster.probe.run_while_wanted", late)
    with pytest.raises(NotMeasured, match="more than 20 s"):
        probe.probe([small()], settings)
    failed = subprocess.CompletedProcess([], 1, "", "Traceback ...\nDataError: /data/kitti: is not there\n")
    monkeypatch.setattr("service.cluster.probe.run_while_wanted", lambda *_, **__: failed)
    with pytest.raises(NotMeasured, match="DataError: /data/kitti: is not there"):
        probe.probe([small()], settings)
    killed = subprocess.CompletedProcess([], -9, "", "")
    monkeypatch.setattr("service.cluster.probe.run_while_wanted", lambda *_, **__: killed)
    with pytest.raises(NotMeasured, match="memory runs out"):
        probe.probe([small()], settings)
    assert not list(settings.home.glob("probes/*.json")), "nothing is kept of what was not measured"
    cut = subprocess.CompletedProcess(
        [], 0, Measured(step_s=1, epoch_s=1, peak_gb=1, device="cpu").model_dump_json(), ""
    )
    monkeypatch.setattr("service.cluster.probe.run_while_wanted", lambda *_, **__: cut)
    with pytest.raises(NotMeasured, match="ended early"):
        probe.probe([small(), small()], settings)


def test_a_process_that_nobody_waits_for_any_more_ends_by_itself(settings: Settings) -> None:
    run = [sys.executable, "-m", "service.cluster.probe", str(settings.cache), "--until", "1"]
    ended = subprocess.run(run, input=probe.asked([small()]), capture_output=True, text=True, timeout=240, check=False)
    assert (ended.returncode, ended.stdout) == (-signal.SIGALRM, "")


def test_an_answer_is_told_from_whatever_else_is_said() -> None:
    took = Measured(step_s=1, epoch_s=2, peak_gb=3, device="cpu")
    said = f"Running: probe\n{probe.asked([small()])}END\na warning\n{took.model_dump_json()}\n{{}}\n"
    assert probe.answers(said) == [took]
