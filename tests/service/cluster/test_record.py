from __future__ import annotations

from pathlib import Path

import pytest
from standin import experiment, search_of

from fusegpt.config import SettingError
from service.cluster.record import TrialRecord, read_search, read_trials, trial_folder, write_search, write_trial


def test_a_search_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    search = search_of(tmp_path / "a", experiment(algorithm="tpe"))
    write_search(search)
    assert read_search(search.folder) == search


def test_a_search_that_was_never_started_is_an_error_that_names_its_file(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"none.search\.json"):
        read_search(tmp_path / "none")


def test_trials_are_read_back_in_their_order_with_their_best(tmp_path: Path) -> None:
    search = search_of(tmp_path / "a", experiment())
    for number in (10, 2):
        write_trial(search, TrialRecord(number=number, drawn={}, state="stopped", values={1: 3.0, 2: 1.0, 3: 2.0}))
    records = read_trials(search)
    assert [record.number for record in records] == [2, 10]
    trial = records[0].trial(search)
    assert (trial.id, trial.epoch, trial.best, trial.state) == ("trial_00002", 3, 1.0, "stopped")


def test_a_broken_record_is_reported_by_file(tmp_path: Path) -> None:
    search = search_of(tmp_path / "a", experiment())
    write_trial(search, TrialRecord(number=1, drawn={}, state="running"))
    (trial_folder(search, 1) / "trial.json").write_text('{"number": ')
    with pytest.raises(ValueError, match=r"trial_00001.trial\.json"):
        read_trials(search)
