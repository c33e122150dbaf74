"""What the table of the norms tells: which norms see the other samples of a batch, and by how much."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import experiments
from benchmarks.norms_by_batch import COLOURS, draw, main, moved, scores_of
from fusegpt.predictor import Predictor
from service.cluster.record import TrialRecord


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def untrained(norm: str) -> Predictor:
    small = {"model.norm": norm, "model.n_layer": 1, "model.patch_px": 14}
    experiment = experiments.load("norms").override(small)
    torch.manual_seed(0)
    task = experiment.task.build(experiment)
    return Predictor(experiment, task, task.build_model(), torch.device("cpu"))


def trial(number: int, norm: str, size: int, seed: int, **changes: object) -> TrialRecord:
    drawn = {"model.norm": norm, "training.batch_size": size, "training.seed": seed}
    values = {1: 9.0, 2: float(number)}
    return TrialRecord.model_validate(
        {"number": number, "drawn": drawn, "state": "finished", "values": values, **changes}
    )


@pytest.mark.parametrize("norm", COLOURS)
def test_only_batch_norm_moves_a_sample_with_its_companions_and_only_in_training(norm: str, tmp_path: Path) -> None:
    predictor = untrained(norm)
    split = predictor.task.open_splits(tmp_path).val
    in_training = moved(predictor, split, "cross_entropy", 8, training=True)
    assert moved(predictor, split, "cross_entropy", 8, training=False) < 1e-5
    assert in_training > 1e-3 if norm == "batchnorm" else in_training < 1e-5


def test_a_pairs_scores_are_those_after_the_last_epoch_in_the_order_of_the_seeds() -> None:
    records = [trial(4, "layernorm", 2, 1), trial(3, "layernorm", 2, 0), trial(5, "rmsnorm", 8, 0, state="failed")]
    assert scores_of(records) == {("layernorm", 2): [3.0, 4.0]}


def test_a_search_without_a_finished_trial_is_told() -> None:
    with pytest.raises(ValueError, match="no trial of this search has finished"):
        scores_of([trial(0, "layernorm", 2, 0, state="running")])


def test_the_picture_is_drawn_where_a_pair_is_missing(tmp_path: Path) -> None:
    scores = {("layernorm", 2): [0.5, 0.6], ("batchnorm", 2): [0.9], ("layernorm", 32): [0.4, 0.5]}
    assert draw(scores, "val/ade_m", tmp_path / "norms.png").stat().st_size > 5000


def test_without_a_search_it_says_what_to_make_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["norms_by_batch"])
    main()
    assert "fusegpt tune norms_fusion --name NAME" in capsys.readouterr().out
