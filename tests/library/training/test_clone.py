"""A training that goes on from where another stands."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file
from tiny_task import TinyTask, tiny_experiment, use

from fusegpt.experiment import Experiment
from fusegpt.training.checkpoint import read_experiment, read_scores
from fusegpt.training.clone import clone
from fusegpt.training.history import read_history
from fusegpt.training.loop import train


def trained(experiment: Experiment, folder: Path, until: int) -> None:
    """Train up to an epoch, and be told to stop there."""
    reached: list[int] = []
    train(experiment, folder, folder, lambda told: reached.append(told.epoch), should_stop=lambda: until in reached)


def test_a_clone_goes_on_with_the_others_weights_and_its_own_settings(tmp_path: Path) -> None:
    use(TinyTask())
    slow, fast = tiny_experiment(epochs=4, lr=1e-6), tiny_experiment(epochs=4, lr=1e-2)
    trained(slow, tmp_path / "slow", 2)
    trained(fast, tmp_path / "fast", 2)
    between = tiny_experiment(epochs=4, lr=5e-3)
    clone(tmp_path / "fast", tmp_path / "slow", between)
    one, other = (load_file(tmp_path / name / "checkpoint" / "model.safetensors") for name in ("slow", "fast"))
    assert all(bool((one[key] == other[key]).all()) for key in other)
    assert read_experiment(tmp_path / "slow" / "checkpoint") == between
    assert read_experiment(tmp_path / "slow" / "best") == fast, "the best so far is the other's"
    result = train(between, tmp_path / "slow", tmp_path / "slow")
    rows, others = (read_history(tmp_path / name / "history.jsonl") for name in ("slow", "fast"))
    assert rows[:2] == others[:2]
    assert [row.epoch for row in rows] == [1, 2, 3, 4]
    assert result.metrics == rows[result.best_epoch - 1].metrics
    assert read_scores(result.best).metrics == result.metrics


def test_a_clone_that_was_cut_short_is_made_whole_by_doing_it_again(tmp_path: Path) -> None:
    use(TinyTask())
    experiment = tiny_experiment(epochs=2)
    trained(experiment, tmp_path / "source", 1)
    (tmp_path / "target" / "checkpoint.writing").mkdir(parents=True)
    (tmp_path / "target" / "checkpoint.writing" / "model.safetensors").write_text("half")
    for _ in range(2):
        clone(tmp_path / "source", tmp_path / "target", experiment)
    names = sorted(path.name for path in (tmp_path / "target").iterdir())
    assert names == ["best", "checkpoint", "history.jsonl"]
    assert train(experiment, tmp_path / "target", tmp_path).epoch == 2
