"""What each setting does to the metric, and which trials are worth their cost: the numbers behind the pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fusegpt.figures.effects import FEWEST, effects
from fusegpt.figures.importance import Share, draw_importance
from fusegpt.figures.pareto import costs_of, draw_pareto, front
from fusegpt.figures.search import TrialCurve
from fusegpt.figures.settings import draw_settings

RNG = np.random.default_rng(0)


def trial(number: int, score: float, **settings: bool | int | float | str) -> TrialCurve:
    return TrialCurve(number, settings, [1], [score])


def costly(number: int, score: float, latency_ms: float) -> TrialCurve:
    return TrialCurve(number, {}, [1], [score], costs={"latency_ms": latency_ms})


def searched(count: int = 40) -> list[TrialCurve]:
    """Where the norm makes 0.2 and the dropout, by its square, as much; the heads nothing."""
    found = []
    for number in range(count):
        norm, pdrop, n_head = ["a", "b"][number % 2], float(RNG.uniform(0, 1)), int(2 ** RNG.integers(0, 3))
        score = 1.0 + 0.2 * (norm == "b") + 0.2 * pdrop**2 + 0.01 * RNG.normal()
        found.append(trial(number, score, norm=norm, pdrop=pdrop, n_head=n_head))
    return found


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def test_the_mean_at_each_value_is_that_of_its_trials() -> None:
    trials = [trial(i, float(i), n_head=[1, 2][i % 2]) for i in range(8)]
    (heads,) = effects(trials, "min")
    assert heads.values == (1, 2)
    assert heads.trials.tolist() == [4, 4]
    assert heads.mean.tolist() == [3.0, 4.0]


def test_a_setting_that_matters_has_bands_apart_and_one_that_does_not_has_bands_that_overlap() -> None:
    found = {effect.key: effect for effect in effects(searched(), "min")}
    assert found["norm"].high[0] < found["norm"].low[1]
    assert found["n_head"].low.max() < found["n_head"].high.min()
    pdrop = found["pdrop"]
    assert pdrop.is_curve
    assert pdrop.mean[-1] - pdrop.mean[0] == pytest.approx(0.2, abs=0.1)


def test_a_value_tried_once_has_a_band_from_the_spread_of_the_others() -> None:
    trials = [trial(i, 1.0 + 0.1 * (i % 2), norm="a") for i in range(7)] + [trial(7, 1.05, norm="b")]
    (norm,) = effects(trials, "min")
    assert norm.trials.tolist() == [7, 1]
    assert norm.low[1] < 1.03 < 1.07 < norm.high[1]


def test_too_few_trials_are_an_error_that_says_how_many_it_takes() -> None:
    with pytest.raises(ValueError, match=f"3 trials have a value; what a setting does needs {FEWEST} at least"):
        effects(searched(3), "min")


def test_a_choice_of_yes_or_no_has_two_means() -> None:
    trials = [trial(i, float(i), velocity=bool(i % 2)) for i in range(8)]
    assert effects(trials, "min")[0].values == (False, True)


def test_the_front_of_a_metric_that_should_be_large_keeps_the_largest() -> None:
    trials = [costly(2, 0.95, 3.0), costly(1, 0.8, 2.0), costly(0, 0.9, 1.0)]
    assert [one.number for one in front(trials, "latency_ms", "max")] == [0, 2]


def test_a_cost_that_no_two_trials_differ_in_has_no_front(tmp_path: Path) -> None:
    trials = [costly(0, 0.9, 1.0), costly(1, 0.8, 1.0)]
    assert costs_of(trials) == []
    with pytest.raises(ValueError, match="none of latency_ms, parameters differs"):
        draw_pareto(trials, tmp_path / "none.png", metric="val/ade_m")


def test_each_picture_is_drawn_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    trials = [costly(i, 1 / (1 + i), 1.0 + i) for i in range(5)]
    shares = [Share("model.norm", 0.4, 0.2, 0.6, 0.1), Share("model.n_head", 0.05, 0.0, 0.2, 0.1)]
    pictures = [
        draw_settings(effects(searched(), "min"), tmp_path / "settings.png", metric="val/ade_m", baseline=1.1),
        draw_importance(shares, tmp_path / "importance.png", metric="val/ade_m", trials=40),
        draw_pareto(trials, tmp_path / "pareto.png", metric="val/ade_m"),
    ]
    for picture in pictures:
        width, height = size(picture)
        assert 900 <= width < 1600
        assert 200 < height < 1200
    assert len(list(tmp_path.iterdir())) == 3


def test_a_setting_counts_where_it_passes_what_chance_reaches() -> None:
    assert Share("a", 0.2, 0.1, 0.3, chance=0.1).counts
    assert not Share("a", 0.2, 0.1, 0.3, chance=0.2).counts
