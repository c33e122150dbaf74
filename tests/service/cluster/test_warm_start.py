from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from standin import METRIC, experiment, search_of

from fusegpt.config import SettingError
from fusegpt.experiment import Experiment
from service.cluster.draws import Draws
from service.cluster.record import TrialRecord, trial_folder, write_search, write_trial
from service.cluster.warm_start import first_of, warm_start
from service.events import Search

WIDTHS = {"model.n_embd": {"low": 64, "high": 256, "step": 32}}


def earlier(folder: Path, widths: list[int], asked: Experiment | None = None, data: str = "same") -> Search:
    """A search that has ended; the wider, the better."""
    search = search_of(folder, asked or experiment(space=WIDTHS))
    write_search(search)
    for number, width in enumerate(widths):
        values = {epoch: 100.0 / width + 1 / epoch for epoch in (1, 2, 3)}
        drawn = {"model.n_embd": width}
        write_trial(search, TrialRecord(number=number, drawn=drawn, state="finished", values=values))
        checkpoint = trial_folder(search, number) / "checkpoint"
        checkpoint.mkdir()
        (checkpoint / "progress.json").write_text(json.dumps({"fingerprint": data}))
    return search


def now(folder: Path, **search: Any) -> Search:
    return search_of(folder, experiment(**{"space": WIDTHS, "warm_start": ["a"], **search}))


def start(search: Search) -> Any:
    return warm_start(search, Path("unused"), lambda: "same")


def test_earlier_trials_are_taken_with_their_figures_and_the_best_comes_first(tmp_path: Path) -> None:
    earlier(tmp_path / "a", [64, 224, 128])
    search = now(tmp_path / "now")
    found = start(search)
    assert [one.drawn["model.n_embd"] for one in found] == [64, 224, 128]
    assert found[1].values == pytest.approx({1: 100 / 224 + 1, 2: 100 / 224 + 0.5, 3: 100 / 224 + 1 / 3})
    assert first_of(search, found) == [{"model.n_embd": 224}]


def test_tpe_that_has_been_told_does_not_begin_at_random(tmp_path: Path) -> None:
    earlier(tmp_path / "a", [64, 96, 128, 160, 192, 224, 256] * 6)
    search = now(tmp_path / "now", algorithm="tpe")
    warm, cold = Draws(search.experiment, "min"), Draws(search.experiment, "min")
    for one in start(search):
        warm.tell(one.drawn, one.values, one.stopped, one.costs)
    widths = [[draws.draw(number)["model.n_embd"] for number in range(1, 20)] for draws in (warm, cold)]
    assert sum(widths[0]) > 1.15 * sum(widths[1])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"training.epochs": 4}, r"training\.epochs is 3 there and 4 here"),
        ({"model.n_layer": 5}, r"model\.n_layer"),
        ({"name": "other"}, r"it is a search of standin, not of other"),
        ({"search.space": {"model.n_embd": [1024]}}, r"no trial that ended .* within this search\.space"),
        ({"data.n_drives": 9}, r"data\.n_drives is 3 there and 9 here"),
    ],
)
def test_what_says_nothing_about_this_search_is_refused_with_the_reason(
    tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    earlier(tmp_path / "a", [64, 128])
    search = search_of(tmp_path / "now", now(tmp_path / "now").experiment.override(change))
    with pytest.raises(SettingError, match=rf"search\.warm_start: nothing can be learnt from a: .*{says}"):
        start(search)
    assert start(search_of(tmp_path / "b", search.experiment.override({"search.warm_start": "auto"}))) == []


def test_other_data_and_a_name_that_is_none_are_refused(tmp_path: Path) -> None:
    earlier(tmp_path / "a", [64, 128], data="other")
    with pytest.raises(SettingError, match="on this data"):
        start(now(tmp_path / "now"))
    with pytest.raises(SettingError, match="no search was started under this name"):
        start(now(tmp_path / "now", warm_start=["none"]))


def test_a_setting_that_was_searched_earlier_must_be_the_present_one(tmp_path: Path) -> None:
    heads = {**WIDTHS, "model.n_head": [1, 2]}
    search = earlier(tmp_path / "a", [64, 128], experiment(space=heads))
    default = search.experiment.settings()["model.n_head"]
    for number, n_head in ((2, default), (3, 2 if default != 2 else 1)):
        drawn = {"model.n_embd": 192, "model.n_head": n_head}
        write_trial(search, TrialRecord(number=number, drawn=drawn, state="finished", values={3: 1.0}))
        checkpoint = trial_folder(search, number) / "checkpoint"
        checkpoint.mkdir()
        (checkpoint / "progress.json").write_text(json.dumps({"fingerprint": "same"}))
    assert {one.number for one in start(now(tmp_path / "now"))} == {0, 1, 2}


def test_auto_takes_all_that_fit_and_a_resumed_search_learns_from_the_same(tmp_path: Path) -> None:
    earlier(tmp_path / "a", [64])
    earlier(tmp_path / "b", [96], experiment(space=WIDTHS, epochs=9))
    earlier(tmp_path / "c", [128, 160])
    search = now(tmp_path / "now", warm_start="auto")
    found = start(search)
    assert [(one.search, one.number) for one in found] == [("a", 0), ("c", 0), ("c", 1)]
    earlier(tmp_path / "d", [256])
    assert start(search) == found


def test_a_cold_start_opens_no_data(tmp_path: Path) -> None:
    def never() -> str:
        raise AssertionError(METRIC)

    assert warm_start(now(tmp_path / "now", warm_start=[]), tmp_path, never) == []
    assert warm_start(now(tmp_path / "now", warm_start="auto"), tmp_path, never) == []


def test_the_defaults_are_not_tried_twice(tmp_path: Path) -> None:
    search = now(tmp_path / "now")
    width = search.experiment.settings()["model.n_embd"]
    if not 64 <= width <= 256:
        pytest.skip("the default width lies outside")
    earlier(tmp_path / "a", [width])
    assert first_of(search, start(search)) == []
