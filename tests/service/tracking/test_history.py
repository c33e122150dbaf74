"""Reading back what was tracked, on machines where there is little or nothing to read."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from service.errors import ClusterUnreachable, NotFound
from service.events import Search, Trial
from service.settings import Settings
from service.tracking import History, Tracker


def test_a_machine_that_tracked_nothing_has_no_searches_and_gets_no_database(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert History(settings).searches() == []
    assert not (tmp_path / "mlflow.db").exists()


def test_a_search_that_is_not_there_is_not_found_and_the_nearest_is_named(settings: Settings, search: Search) -> None:
    tracker = Tracker(settings)
    tracker.search_started(search)
    tracker.search_ended(search, [])
    with pytest.raises(NotFound, match=r"'nihgt' \(did you mean night\?\)"):
        History(settings).find("nihgt")


def test_a_search_whose_driver_died_is_interrupted_and_one_that_lives_is_running(
    settings: Settings, search: Search, trial: Trial
) -> None:
    tracker = Tracker(settings)
    tracker.search_started(search)
    tracker.trial_started(trial)
    while not History(settings).searches() or not History(settings).trials("night"):
        time.sleep(0.05)
    assert History(settings).find("night").state == "running"
    tracker.close()
    assert History(settings).find("night").state == "interrupted"
    assert [row.state for row in History(settings).trials("night")] == ["interrupted"]


def test_a_server_that_does_not_answer_is_an_error_that_names_its_setting(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, tracking_uri="http://127.0.0.1:9")
    with pytest.raises(ClusterUnreachable, match=r"MLFLOW_TRACKING_URI: http://127\.0\.0\.1:9 does not answer"):
        History(settings).searches()


@pytest.mark.parametrize("name", ["it's", 'a "b"'])
def test_a_name_with_a_quote_is_found(settings: Settings, search: Search, name: str) -> None:
    from dataclasses import replace

    quoted = replace(search, name=name)
    tracker = Tracker(settings)
    tracker.search_started(quoted)
    tracker.search_ended(quoted, [])
    assert History(settings).find(name).name == name
