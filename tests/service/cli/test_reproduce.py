"""A trial is run again from its record, and its number comes back or it is said that it does not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import experiments
from fusegpt.training.history import read_history
from service import run
from service.cli import main
from service.cluster.draws import Draws
from service.cluster.population import Population
from service.cluster.record import TrialRecord, trial_folder, write_search, write_trial
from service.cluster.train import train_alone
from service.events import Search
from service.settings import Settings

EXPERIMENT = experiments.load("row_classifier").override({"training.epochs": 3, "model.n_embd": 8})
DRAWN = {"model.n_embd": 12, "training.lr": 0.004}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all tests: its MLflow database takes seconds to make. `trained` holds two epochs of three."""
    home = tmp_path_factory.mktemp("home")
    done: list[int] = []
    train_alone(
        EXPERIMENT.override(DRAWN),
        home / "trained",
        Settings.read({"FUSEGPT_HOME": str(home)}).cache,
        lambda told: done.append(told.epoch),
        lambda: 2 in done,
    )
    return home


@pytest.fixture
def search(home: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Search:
    """A search whose trial 3 was stopped after two of its three epochs."""
    monkeypatch.setenv("FUSEGPT_HOME", str(home))
    search = run.search_of(EXPERIMENT, request.node.name, Settings.read())
    write_search(search)
    shutil.copytree(home / "trained", trial_folder(search, 3))
    write_trial(search, TrialRecord(number=3, drawn=DRAWN, state="stopped", values={1: 1.0, 2: 0.5}))
    return search


def reproduce(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    capfd.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(["reproduce", *arguments])
    out, err = capfd.readouterr()
    return int(ended.value.code or 0), out, err


def history(search: Search) -> Path:
    return trial_folder(search, 3) / "history.jsonl"


def change(search: Search, epoch: int, factor: float) -> None:
    """Make the record say another figure of an epoch."""
    rows: list[dict[str, Any]] = [json.loads(line) for line in history(search).read_text().splitlines()]
    rows[epoch - 1]["metrics"][search.metric] *= factor
    history(search).write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.mark.slow
def test_the_same_settings_seed_and_data_give_the_same_number(
    search: Search, capfd: pytest.CaptureFixture[str]
) -> None:
    code, out, err = reproduce(capfd, search.name, "3")
    assert code == 0, err
    assert f"{search.name}-trial-3-again: {search.metric}" in out
    assert "it came back exactly" in out
    again = search.folder.with_name(f"{search.name}-trial-3-again")
    assert len((again / "trial_00000/history.jsonl").read_text().splitlines()) == 2
    code, out, _ = reproduce(capfd, search.name, "trial_00003", "--json")
    told = json.loads(out)
    assert (code, told["verdict"], told["then"], told["first_other"]) == (0, "exact", told["now"], 0)
    assert told["name"] == f"{search.name}-trial-3-again-2", "a run under the same name would go on from the first"


@pytest.mark.slow
def test_a_number_that_does_not_come_back_is_told_with_its_first_epoch(
    search: Search, capfd: pytest.CaptureFixture[str]
) -> None:
    change(search, 2, 1.1)
    change(search, 1, 1.1)
    code, _, err = reproduce(capfd, search.name, "3")
    assert code == 1
    assert "it did not come back; the first epoch that differs is 1 of 2" in err
    code, out, _ = reproduce(capfd, search.name, "3", "--tolerance", "0.2")
    assert code == 0
    assert "it came back within the tolerance" in out


@pytest.mark.slow
def test_other_data_is_refused_unless_it_is_wanted(search: Search, capfd: pytest.CaptureFixture[str]) -> None:
    file = trial_folder(search, 3) / "checkpoint" / "progress.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "fingerprint": "0123abcd"}))
    code, out, err = reproduce(capfd, search.name, "3")
    assert code == 4
    assert "other than it was: data was 0123abcd" in out
    assert f"error: data: {search.name} learnt from 0123abcd" in err
    assert reproduce(capfd, search.name, "3", "--anyway")[0] == 0


def test_what_has_no_record_here_is_not_found(search: Search, capfd: pytest.CaptureFixture[str]) -> None:
    code, _, err = reproduce(capfd, "evening", "3")
    assert (code, "there is no search 'evening'" in err) == (3, True)
    code, _, err = reproduce(capfd, search.name, "4")
    assert (code, f"{search.name} has no trial '4'; there are 3" in err) == (3, True)
    history(search).unlink()
    code, _, err = reproduce(capfd, search.name, "3")
    assert (code, "has no finished epoch" in err) == (4, True)


@pytest.fixture
def population(home: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> dict[int, TrialRecord]:
    """Four models that were really trained together, three epochs each, one in a generation."""
    monkeypatch.setenv("FUSEGPT_HOME", str(home))
    space = {"training.lr": {"low": 0.0001, "high": 0.1, "log": True}}
    asked = {"search.algorithm": "pbt", "search.space": space, "search.trials": 4, "search.grace_epochs": 1}
    search = run.search_of(EXPERIMENT.override(asked), request.node.name, Settings.read())
    write_search(search)
    records: dict[int, TrialRecord] = {}

    def keep(record: TrialRecord) -> None:
        records[record.number] = record
        write_trial(search, record)

    draws = Draws(search.experiment, search.mode)
    turns = Population(search, draws, lambda: list(records.values()), keep, lambda *_: None)
    while turn := turns.next():
        number = turn["number"]
        keep(a_turn(search, records.get(number) or TrialRecord(number=number, drawn=turn["drawn"], state="running")))
    return records


def a_turn(search: Search, record: TrialRecord) -> TrialRecord:
    """One epoch more."""
    folder, cache = trial_folder(search, record.number), Settings.read().cache
    done, until = [record.epoch], record.epoch + 1
    experiment = search.experiment.override(record.drawn)
    train_alone(experiment, folder, cache, lambda told: done.append(told.epoch), lambda: until in done)
    values = {row.epoch: row.metrics[search.metric] for row in read_history(folder / "history.jsonl")}
    return record.model_copy(update={"values": values, "state": "finished" if until == 3 else "running"})


@pytest.mark.slow
def test_a_trial_of_a_population_is_run_again_by_the_way_it_came(
    population: dict[int, TrialRecord], capfd: pytest.CaptureFixture[str], request: pytest.FixtureRequest, home: Path
) -> None:
    name = request.node.name
    loser = next(record for record in population.values() if record.exchanges)
    last = loser.exchanges[-1]
    code, out, err = reproduce(capfd, name, str(loser.number))
    assert code == 0, err
    assert f"trial {last.source} up to epoch {last.epoch}, then trial {loser.number} up to epoch 3\n" in out
    assert "it came back exactly" in out
    file = home / "runs" / name / f"trial_{last.source:05d}" / "trial.json"
    source = population[last.source]
    changed = {key: 0.07 for key in source.drawn if key == "training.lr"}
    file.write_text(source.model_copy(update={"drawn": changed, "began": changed, "exchanges": ()}).model_dump_json())
    code, _, err = reproduce(capfd, name, str(loser.number))
    assert (code, "it did not come back; the first epoch that differs is 1 of 3" in err) == (1, True), (
        "by other settings"
    )
    file.unlink()
    code, _, err = reproduce(capfd, name, str(loser.number))
    assert (code, f"went on from trial {last.source} after epoch {last.epoch}, and the record" in err) == (4, True)
