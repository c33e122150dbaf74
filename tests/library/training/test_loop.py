"""The training loop: what it reports, where it stops, and that being killed changes nothing."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tiny_task import TinyTask, tiny_experiment, train_and_die, train_as_worker, use

from fusegpt.training.checkpoint import load_weights, read_scores
from fusegpt.training.history import read_history
from fusegpt.training.loop import Report, TrainingError, train


def run(folder: Path, task: TinyTask | None = None, **training: Any) -> list[Report]:
    use(task or TinyTask())
    reports: list[Report] = []
    train(tiny_experiment(**training), folder, folder, report=reports.append)
    return reports


def assert_same_numbers(a: Path, b: Path) -> None:
    """The same weights, optimiser and figures, to the last bit."""
    for file in ("model.safetensors", "optimizer.safetensors"):
        left, right = load_file(a / "checkpoint" / file), load_file(b / "checkpoint" / file)
        assert left.keys() == right.keys()
        assert all(torch.equal(left[key], right[key]) for key in left), file
    assert figures(a) == figures(b)
    assert (a / "best" / "model.safetensors").read_bytes() == (b / "best" / "model.safetensors").read_bytes()


def figures(folder: Path) -> list[dict[str, float]]:
    rows = [row.metrics for row in read_history(folder / "history.jsonl")]
    return [{name: value for name, value in row.items() if name != "samples_per_s"} for row in rows]


def in_process(target: Any, *arguments: Any) -> multiprocessing.process.BaseProcess:
    process = multiprocessing.get_context("spawn").Process(target=target, args=arguments, daemon=True)
    process.start()
    return process


def test_training_learns_and_reports_each_epoch_once(tmp_path: Path) -> None:
    reports = run(tmp_path, epochs=20)
    assert [report.epoch for report in reports] == list(range(1, 21))
    assert [report.step for report in reports] == [7 * epoch for epoch in range(1, 21)]
    assert reports[-1].step == reports[-1].steps
    assert reports[-1].metrics["val/error"] < 0.5 * reports[0].metrics["val/error"]
    assert {"train/loss", "train/squared", "val/error", "lr", "samples_per_s"} <= reports[0].metrics.keys()


def test_the_train_loss_is_the_mean_over_all_samples_of_the_epoch(tmp_path: Path) -> None:
    still = TinyTask(dropout=0.0, augment=False)
    reports = run(tmp_path, still, epochs=1, lr=1e-30)
    model = still.build_model()
    load_weights(tmp_path / "best", model)
    split = still.splits.train
    with torch.no_grad():
        expected = still.losses(model, split.batch(torch.arange(len(split)).numpy()))["loss"].mean()
    assert reports[0].metrics["train/loss"] == pytest.approx(float(expected), rel=1e-5)


def test_the_best_epoch_is_kept_although_later_ones_are_worse(tmp_path: Path) -> None:
    reports = run(tmp_path, TinyTask(n=8, dropout=0.5), epochs=12, lr=0.3)
    errors = [report.metrics["val/error"] for report in reports]
    best = min(range(12), key=errors.__getitem__) + 1
    assert best < 12, "the problem no longer overfits, so this test would hold nothing"
    assert read_scores(tmp_path / "best").epoch == best
    assert read_scores(tmp_path / "best").metrics["val/error"] == errors[best - 1]


def test_the_result_carries_the_figures_of_the_best_epoch(tmp_path: Path) -> None:
    use(TinyTask())
    result = train(tiny_experiment(), tmp_path, tmp_path)
    assert result.metrics == read_scores(result.best).metrics
    assert (result.epoch, result.stopped) == (3, False)


@pytest.mark.parametrize("at_step", [3, 7, 11])
def test_a_stopped_training_goes_on_to_the_same_numbers(tmp_path: Path, at_step: int) -> None:
    run(tmp_path / "whole")
    use(TinyTask())
    asked = iter(range(10**6))
    experiment, folder = tiny_experiment(), tmp_path / "parts"
    first = train(experiment, folder, folder, should_stop=lambda: next(asked) == at_step)
    assert (first.stopped, first.step) == (True, at_step)
    assert not train(experiment, folder, folder).stopped
    assert_same_numbers(tmp_path / "whole", folder)


def test_a_training_stopped_at_every_step_still_ends_with_the_same_numbers(tmp_path: Path) -> None:
    run(tmp_path / "whole", epochs=2)
    use(TinyTask())
    experiment, folder = tiny_experiment(epochs=2), tmp_path / "parts"
    for _ in range(100):
        asked = iter(range(100))
        if not train(experiment, folder, folder, should_stop=lambda asked=asked: next(asked) == 1).stopped:
            break
    assert_same_numbers(tmp_path / "whole", folder)


@pytest.mark.parametrize(("every", "at_step"), [(3, 12), (0, 12)])
def test_a_killed_training_goes_on_to_the_same_numbers(tmp_path: Path, every: int, at_step: int) -> None:
    run(tmp_path / "whole")
    folder = tmp_path / "killed"
    killed = in_process(train_and_die, folder, at_step, {"checkpoint_every_steps": every})
    killed.join()
    assert killed.exitcode == -9
    run(folder)
    assert_same_numbers(tmp_path / "whole", folder)


def test_a_finished_training_only_reports_its_last_epoch_again(tmp_path: Path) -> None:
    reports = run(tmp_path)
    again = run(tmp_path)
    assert again == reports[-1:]
    assert len(read_history(tmp_path / "history.jsonl")) == 3


@pytest.mark.slow
@pytest.mark.parametrize("training", [{"batch_size": 7}, {"batch_size": 1, "epochs": 1}], ids=["uneven", "one-sample"])
def test_two_workers_end_with_the_numbers_of_one(tmp_path: Path, training: dict[str, Any]) -> None:
    task = {"dropout": 0.0}
    alone = run(tmp_path / "one" / "run", TinyTask(**task), **training)  # type: ignore[arg-type]
    folder = tmp_path / "two" / "run"
    folder.mkdir(parents=True)
    workers = [in_process(train_as_worker, rank, 2, folder, training, task) for rank in range(2)]
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    told = [json.loads((folder.parent / f"reports-{rank}.json").read_text()) for rank in range(2)]
    assert told[0] == told[1]
    for report, (epoch, metrics) in zip(alone, told[0], strict=True):
        assert report.epoch == epoch
        metrics.pop("samples_per_s")
        assert {name: report.metrics[name] for name in metrics} == pytest.approx(metrics, rel=1e-5)
    left, right = (load_file(one / "best" / "model.safetensors") for one in (tmp_path / "one" / "run", folder))
    assert all(torch.allclose(left[key], right[key], atol=1e-5) for key in left)


def test_a_loss_that_is_no_number_names_the_step_and_what_to_try(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"step 1: loss, squared is not a finite number.*training\.lr"):
        run(tmp_path, TinyTask(nan=True))
    assert not (tmp_path / "checkpoint").exists()


def test_an_empty_split_is_refused_naming_the_setting(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"data\.splits: leaves no sample in the val split"):
        run(tmp_path, TinyTask(n_val=0))


def test_a_folder_of_other_settings_is_refused_naming_the_setting(tmp_path: Path) -> None:
    run(tmp_path)
    with pytest.raises(TrainingError, match=r"training\.lr = 0\.01, not 0\.02"):
        run(tmp_path, lr=0.02)


def test_a_folder_that_learnt_from_other_data_is_refused(tmp_path: Path) -> None:
    run(tmp_path)
    other = TinyTask()
    object.__setattr__(other.splits, "fingerprint", "other-data")
    with pytest.raises(TrainingError, match="has learnt from other data"):
        run(tmp_path, other)


def test_how_often_the_state_is_kept_does_not_change_the_numbers(tmp_path: Path) -> None:
    run(tmp_path / "seldom")
    run(tmp_path / "often", checkpoint_every_steps=1)
    assert_same_numbers(tmp_path / "seldom", tmp_path / "often")
