"""Checkpoints: whole, strict, and readable whenever the writer was killed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_task import TinyTask, tiny_experiment
from torch import nn

from fusegpt.training.checkpoint import (
    CheckpointError,
    Progress,
    Scores,
    has_checkpoint,
    load_checkpoint,
    load_weights,
    read_experiment,
    read_scores,
    save_best,
    save_checkpoint,
)
from fusegpt.training.folder import replace_folder, settle
from fusegpt.training.history import append_history, read_history, rewind_history
from fusegpt.training.optim import build_optimizer

PROGRESS = Progress(epoch=2, step=9, sums={"loss": 0.1 + 0.2}, best=1 / 3, best_epoch=1, fingerprint="abc")


def a_state() -> tuple[nn.Module, torch.optim.Optimizer]:
    model = TinyTask().build_model()
    optimizer = build_optimizer(model, tiny_experiment().training)
    model(torch.randn(4, 6)).square().mean().backward()
    optimizer.step()
    return model, optimizer


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    save_checkpoint(tmp_path / "checkpoint", tiny_experiment(), *a_state(), PROGRESS)
    return tmp_path / "checkpoint"


def test_a_checkpoint_comes_back_as_it_was(tmp_path: Path) -> None:
    model, optimizer = a_state()
    save_checkpoint(tmp_path / "checkpoint", tiny_experiment(), model, optimizer, PROGRESS)
    other, other_optimizer = a_state()
    assert load_checkpoint(tmp_path / "checkpoint", other, other_optimizer) == PROGRESS
    assert read_experiment(tmp_path / "checkpoint") == tiny_experiment()
    for left, right in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(left, right)
        state, other_state = optimizer.state[left], other_optimizer.state[right]
        assert state.keys() == other_state.keys() == {"step", "exp_avg", "exp_avg_sq"}
        assert all(torch.equal(state[name], other_state[name]) for name in state)


def test_a_checkpoint_before_the_first_step_can_be_taken_up(tmp_path: Path) -> None:
    model = TinyTask().build_model()
    optimizer = build_optimizer(model, tiny_experiment().training)
    save_checkpoint(tmp_path / "checkpoint", tiny_experiment(), model, optimizer, Progress())
    assert load_checkpoint(tmp_path / "checkpoint", model, optimizer) == Progress()
    assert not optimizer.state


def test_a_kept_model_carries_its_figures_and_nothing_of_the_optimiser(tmp_path: Path) -> None:
    scores = Scores(epoch=3, step=21, metrics={"val/ade_m": 1 / 3})
    save_best(tmp_path / "best", tiny_experiment(), TinyTask().build_model(), scores)
    assert read_scores(tmp_path / "best") == scores
    assert {file.name for file in (tmp_path / "best").iterdir()} == {
        "experiment.json",
        "model.safetensors",
        "metrics.json",
    }


def test_weights_of_another_model_are_refused_key_by_key(kept: Path) -> None:
    other = nn.Sequential(nn.Linear(6, 16), nn.LayerNorm(16), nn.Linear(16, 1))
    with pytest.raises(CheckpointError, match=r"missing: 2\.bias, 2\.weight; left over: 4\.bias, 4\.weight") as caught:
        load_weights(kept, other)
    assert str(kept / "model.safetensors") in str(caught.value)


def test_weights_of_other_shapes_are_refused_by_name(kept: Path) -> None:
    other = nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.GELU(), nn.Dropout(), nn.Linear(8, 1))
    with pytest.raises(CheckpointError, match=r"model\.safetensors.*shape(?s:.*)0\.weight"):
        load_weights(kept, other)


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-7])


def read_all(folder: Path) -> None:
    read_experiment(folder)
    load_checkpoint(folder, *a_state())


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "progress.json", "experiment.json"])
@pytest.mark.parametrize("harm", [Path.unlink, truncate])
def test_a_broken_file_is_named(kept: Path, name: str, harm: Any) -> None:
    harm(kept / name)
    with pytest.raises(CheckpointError, match=name):
        read_all(kept)


def test_an_unknown_entry_of_a_file_is_named(kept: Path) -> None:
    (kept / "progress.json").write_text('{"epoch": -1, "steps": 3}', encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"progress\.json: epoch: .*greater(?s:.*)steps: is no setting here"):
        load_checkpoint(kept, *a_state())


class Killed(BaseException):
    """Stands for a SIGKILL at one moment of a replacement."""


@pytest.mark.parametrize("moment", range(8))
def test_a_writer_killed_at_any_moment_leaves_a_whole_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    """Each call that changes what lies on the disk is the last one, in turn."""
    target = tmp_path / "checkpoint"
    replace_folder(target, lambda folder: write(folder, "old"))
    calls = iter(range(100))

    def dying(original: Any) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            if next(calls) == moment:
                raise Killed
            return original(*arguments, **named)

        return call

    with monkeypatch.context() as patched:
        for owner, name in ((Path, "rename"), (Path, "mkdir"), (shutil, "rmtree")):
            patched.setattr(owner, name, dying(getattr(owner, name)))
        try:
            replace_folder(target, lambda folder: write(folder, "new"))
        except Killed:
            pass
        else:
            assert moment == 7, "the replacement has other moments than this test thinks"
    settle(target)
    contents = [(target / name).read_text() for name in ("a", "b")]
    assert contents in (["old", "old"], ["new", "new"])
    replace_folder(target, lambda folder: write(folder, "newest"))
    assert (target / "a").read_text() == "newest"
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


def write(folder: Path, word: str) -> None:
    for name in ("a", "b"):
        (folder / name).write_text(word)


def test_no_folder_is_no_checkpoint(tmp_path: Path) -> None:
    assert not has_checkpoint(tmp_path / "checkpoint")


def test_a_history_forgets_what_will_be_run_again_and_a_torn_line(tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl"
    rows = [Scores(epoch=epoch, step=epoch * 7, metrics={"val/x": 0.1 * epoch}) for epoch in (1, 2, 3)]
    for row in rows:
        append_history(file, row)
    with file.open("a") as handle:
        handle.write('{"epoch": 4, "st')
    assert read_history(file) == rows
    rewind_history(file, 2)
    append_history(file, rows[2])
    assert read_history(file) == rows
