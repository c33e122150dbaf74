"""Versions are safetensors and JSON; the champion is who passed the gate; there is always a way back."""

from __future__ import annotations

import json
import pickle
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fusegpt.tasks.metric import Metric
from service.errors import ClusterUnreachable, NotFound, Refused
from service.registry import GateConfig, Registry, Version
from service.registry.side_by_side import Comparison, size_of
from service.settings import Settings
from service.tracking.store import connect

ERRORS = {"poor": 1.0, "good": 0.5, "best": 0.2}


@dataclass
class Figures:
    per_sample: dict[str, NDArray[np.float64]]
    metrics: dict[str, float] = field(default_factory=dict)


def evaluate(folder: Path, _: Path) -> Figures:
    who = json.loads((folder / "experiment.json").read_text())["who"]
    errors = np.full(50, ERRORS[who]) + np.linspace(0, 0.01, 50)
    return Figures({"ade_m": errors, "constant_velocity_ade_m": np.full(50, 0.8)})


def headline(_: Path) -> Metric:
    return Metric("val/ade_m", "min", baseline="constant_velocity")


def compare(new: Path, old: Path, _: GateConfig) -> Comparison:
    """Two models of equal cost; the folder of a slow one says so."""
    slower = 3.0 if (new / "metrics.json").read_text() == '"slow"' else 1.0
    return Comparison(1.0 * slower, 1.0, slower, size_of(new), size_of(old), "")


@pytest.fixture
def registry(settings: Settings) -> Registry:
    return Registry(settings, evaluate, headline, GateConfig(resamples=200), compare)


@pytest.fixture
def versions(registry: Registry, make_model: Any, make_run: Any) -> dict[str, Version]:
    """Three models of the name "toy", registered: poor is 1, good is 2, best is 3."""
    return {who: registry.register("toy", make_model(who), make_run(), {"val/ade_m": ERRORS[who]}) for who in ERRORS}


def champion(registry: Registry) -> int | None:
    found = registry.champion("toy")
    return found and found.number


def test_a_version_carries_its_files_hashes_and_metrics(registry: Registry, versions: dict[str, Version]) -> None:
    (newest, *_) = registry.versions("toy")
    assert (newest.number, newest.metrics) == (3, {"val/ade_m": 0.2})
    assert set(newest.sha256) == {"experiment.json", "metrics.json", "model.safetensors"}
    assert registry.version("toy", 3) == newest
    assert newest.run_id == versions["best"].run_id


def test_registering_the_same_model_of_the_same_run_again_makes_no_second_version(
    registry: Registry, make_model: Any, make_run: Any
) -> None:
    folder, run_id = make_model("good"), make_run()
    first = registry.register("toy", folder, run_id, {})
    assert registry.register("toy", folder, run_id, {}).number == first.number
    assert len(registry.versions("toy")) == 1


@pytest.mark.usefixtures("versions")
def test_the_first_champion_needs_no_other_and_a_better_one_takes_over(registry: Registry) -> None:
    assert champion(registry) is None
    first = registry.promote("toy", 2)
    assert first.accepted
    assert first.reason.startswith(
        "version 2 of toy is the first champion: ade_m 0.505, better than the constant velocity"
    )
    second = registry.promote("toy", 3)
    assert (second.accepted, second.challenger, second.champion, champion(registry)) == (True, 3, 2, 3)
    assert registry.version("toy", 3).reason == second.reason


@pytest.mark.usefixtures("versions")
def test_a_worse_one_is_refused_with_the_reason_kept_on_the_version(registry: Registry) -> None:
    registry.promote("toy", 2)
    decision = registry.promote("toy", 1)
    assert not decision.accepted
    assert champion(registry) == 2
    kept = registry.version("toy", 1)
    assert kept.tags["validation_status"] == "rejected"
    assert "is not shown to beat the champion: ade_m 1.005 against 0.505" in kept.reason
    assert json.loads(kept.tags["fusegpt.decision"])["figures"]["worse_by/low"] > 0


@pytest.mark.usefixtures("versions")
def test_force_makes_a_worse_one_champion_and_says_so(registry: Registry) -> None:
    registry.promote("toy", 2)
    decision = registry.promote("toy", 1, force=True)
    assert (decision.accepted, decision.forced, champion(registry)) == (True, True, 1)
    assert "forced though it is not shown to beat" in decision.reason


@pytest.mark.usefixtures("versions")
def test_the_champion_promoted_again_changes_nothing(registry: Registry) -> None:
    registry.promote("toy", 2)
    decision = registry.promote("toy", 2)
    assert decision.reason == "version 2 of toy is the champion already"
    assert registry.version("toy", 2).previous_champion is None


@pytest.mark.usefixtures("versions")
def test_rollback_goes_to_the_champion_before_and_no_further_than_the_first(registry: Registry) -> None:
    for number in (1, 2, 3):
        registry.promote("toy", number)
    assert registry.rollback("toy").number == 2
    assert registry.rollback("toy").number == 1
    assert champion(registry) == 1
    with pytest.raises(Refused, match="first champion"):
        registry.rollback("toy")
    assert registry.version("toy", 3).tags["fusegpt.rolled_back"]


def test_without_a_champion_there_is_nothing_to_roll_back(registry: Registry) -> None:
    with pytest.raises(NotFound, match="toy has no champion"):
        registry.rollback("toy")


@pytest.mark.parametrize("step", ["set_model_version_tag", "set_registered_model_alias"])
@pytest.mark.usefixtures("versions")
def test_a_kill_within_a_promotion_leaves_the_champion_that_there_was(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    registry.promote("toy", 2)
    with monkeypatch.context() as broken:
        broken.setattr(registry._client, step, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            registry.promote("toy", 3)
    assert champion(registry) == 2
    assert registry.promote("toy", 3).accepted
    assert registry.rollback("toy").number == 2


@pytest.mark.usefixtures("versions")
def test_a_champion_that_changed_meanwhile_is_not_overwritten(settings: Settings) -> None:
    def meddle(folder: Path, cache: Path) -> Figures:
        connect(settings).set_registered_model_alias("toy", "champion", "2")
        return evaluate(folder, cache)

    meddled = Registry(settings, meddle, headline, compare=compare)
    with pytest.raises(Refused, match="the champion changed"):
        meddled.promote("toy", 3)
    assert champion(meddled) == 2


@pytest.mark.usefixtures("versions")
def test_a_champion_that_can_no_longer_be_judged_is_replaced_by_force_only(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.promote("toy", 2)
    monkeypatch.setattr(registry._judging, "evaluate", evaluate_all_but_good)
    refused = registry.promote("toy", 3)
    assert not refused.accepted
    assert "the champion cannot be judged any more (experiment.json: n_layer is no setting)" in refused.reason
    assert registry.promote("toy", 3, force=True).accepted


def evaluate_all_but_good(folder: Path, cache: Path) -> Figures:
    if "good" in (folder / "experiment.json").read_text():
        raise ValueError("experiment.json: n_layer is no setting")
    return evaluate(folder, cache)


def test_a_version_is_downloaded_once_and_again_where_the_copy_is_broken(
    registry: Registry, versions: dict[str, Version]
) -> None:
    folder = registry.download(versions["good"])
    assert sorted(file.name for file in folder.iterdir()) == ["experiment.json", "metrics.json", "model.safetensors"]
    before = (folder / "model.safetensors").stat().st_mtime_ns
    assert registry.download(versions["good"]) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == before
    (folder / "model.safetensors").write_bytes(b"cut")
    (folder / "left.over").touch()
    registry.download(versions["good"])
    assert len((folder / "model.safetensors").read_bytes()) > 3
    assert not (folder / "left.over").exists()
    assert [path.name for path in folder.parent.iterdir()] == ["2"]


def test_eight_downloads_at_once_leave_one_whole_copy(registry: Registry, versions: dict[str, Version]) -> None:
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(registry.download(versions["best"]))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert [path.name for path in found[0].parent.iterdir()] == ["3"]


def test_files_that_were_exchanged_in_the_store_are_refused(
    settings: Settings, registry: Registry, versions: dict[str, Version]
) -> None:
    (stored,) = (settings.home / "mlartifacts" / versions["good"].run_id).rglob("model.safetensors")
    stored.write_bytes(b"another model")
    with pytest.raises(Refused, match="SHA-256"):
        registry.download(versions["good"])
    assert not (settings.cache / "models" / "toy" / "2").exists()


@pytest.mark.parametrize("name", ["model.pt", "model.pkl", "model.bin", "code.py", "optimizer.safetensors"])
def test_anything_but_the_known_files_is_refused_by_name(registry: Registry, make_model: Any, name: str) -> None:
    folder = make_model("good")
    (folder / name).write_bytes(b"")
    with pytest.raises(Refused, match=f"{name}: a model is safetensors and JSON only"):
        registry.register("toy", folder, "run", {})


def test_a_pickle_under_the_name_of_safetensors_is_refused(registry: Registry, make_model: Any) -> None:
    folder = make_model("good")
    (folder / "model.safetensors").write_bytes(pickle.dumps({"weight": [1.0] * 100}))
    with pytest.raises(Refused, match=r"model\.safetensors: is no safetensors file"):
        registry.register("toy", folder, "run", {})


def test_a_folder_without_weights_is_refused(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"nowhere/experiment\.json: is missing"):
        registry.register("toy", tmp_path / "nowhere", "run", {})


def test_a_version_that_somebody_else_registered_is_not_opened(
    registry: Registry, versions: dict[str, Version]
) -> None:
    foreign = replace(versions["good"], tags={})
    pickled = replace(versions["good"], tags={**versions["good"].tags, "fusegpt.sha256.model.pkl": "0" * 64})
    for version in (foreign, pickled):
        with pytest.raises(Refused, match="was not registered by fusegpt as safetensors and JSON"):
            registry.download(version)


@pytest.mark.usefixtures("versions")
def test_a_version_that_is_not_there_is_not_found(registry: Registry) -> None:
    with pytest.raises(NotFound, match="there is no version 9 of toy"):
        registry.promote("toy", 9)


def test_a_machine_without_a_database_has_no_versions_and_gets_none_made(tmp_path: Path) -> None:
    empty = Registry(Settings(home=tmp_path, tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}"))
    assert (empty.champion("toy"), empty.versions("toy")) == (None, [])
    with pytest.raises(NotFound):
        empty.version("toy", 1)
    assert list(tmp_path.iterdir()) == []


def test_a_registry_that_does_not_answer_is_an_error_that_names_its_setting(tmp_path: Path) -> None:
    away = Registry(Settings(home=tmp_path, tracking_uri="http://127.0.0.1:9"))
    with pytest.raises(ClusterUnreachable, match="MLFLOW_TRACKING_URI"):
        away.champion("toy")


@pytest.mark.usefixtures("versions")
def test_a_better_but_much_slower_one_is_refused_naming_the_setting_and_lets_the_gate_be_widened(
    registry: Registry, versions: dict[str, Version], make_model: Any, make_run: Any
) -> None:
    registry.promote("toy", versions["poor"].number)
    folder = make_model("good-and-slow")
    (folder / "experiment.json").write_text('{"who": "good"}')
    (folder / "metrics.json").write_text('"slow"')
    slow = registry.register("toy", folder, make_run(), {}).number
    decision = registry.promote("toy", slow)
    assert not decision.accepted
    assert "takes 3.00x the champion's time for a forward" in decision.reason
    assert "more than gate.latency_ratio allows (1.5)" in decision.reason
    assert {check.name: check.passed for check in decision.checks} == {
        **{"error": True, "latency": False, "size": True, "signature": True}
    }
    assert registry.promote("toy", slow, gate=GateConfig(resamples=200, latency_ratio=4)).accepted


@pytest.mark.usefixtures("versions")
def test_every_decision_is_kept_among_the_artifacts_of_the_run(settings: Settings, registry: Registry) -> None:
    registry.promote("toy", 2)
    registry.promote("toy", 1)
    (kept,) = (settings.home / "mlartifacts" / registry.version("toy", 1).run_id).rglob("*-version-1-decision.json")
    told = json.loads(kept.read_text())
    assert (told["model"], told["accepted"], told["champion"]) == ("toy", False, 2)
    assert [check["name"] for check in told["checks"]] == ["error", "latency", "size", "signature"]
