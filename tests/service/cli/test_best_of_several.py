"""`fusegpt best NAME --pareto`: the trials of a search that none beats."""

from __future__ import annotations

import json

import pytest

import experiments
from fusegpt.config import SettingError
from service.cluster.record import TrialRecord, write_search, write_trial
from service.commands import browse
from service.errors import NotFound
from service.events import Search
from service.settings import Settings


def kept(name: str, objectives: list[str]) -> None:
    """A search of three: one accurate, one fast, one neither."""
    asked = experiments.load("fusion_waypoints").override({"search.objectives": objectives})
    search = Search(name, asked, Settings.read().runs / name, "val/ade_m", "min")
    write_search(search)
    for number, (value, latency) in enumerate([(0.4, 9.0), (0.5, 4.0), (0.6, 5.0)]):
        record = TrialRecord(
            number=number, drawn={"model.n_head": 2**number}, state="finished", values={1: value},
            metrics={"val/ade_m": value, "latency_ms": latency},
        )  # fmt: skip
        write_trial(search, record)


def test_the_front_is_shown_best_first_for_people_and_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    kept("night", ["latency_ms"])
    browse.pareto("night", json=False)
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["trial", "val/ade_m", "latency_ms", "settings"]
    assert [row.split()[:3] for row in rows] == [["trial_00000", "0.4", "9"], ["trial_00001", "0.5", "4"]]
    browse.pareto("night", json=True)
    assert [trial["number"] for trial in json.loads(capsys.readouterr().out)["front"]] == [0, 1]


def test_a_search_without_objectives_or_that_is_not_there_has_none() -> None:
    kept("plain", [])
    with pytest.raises(SettingError, match=r"plain: has no search\.objectives"):
        browse.pareto("plain", json=False)
    with pytest.raises(NotFound, match="no search 'never'"):
        browse.pareto("never", json=False)
