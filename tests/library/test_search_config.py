from __future__ import annotations

from typing import Any

import pytest

from fusegpt.config import SettingError
from fusegpt.data import WorldData
from fusegpt.experiment import Experiment
from fusegpt.models import FusionConfig
from fusegpt.search_config import SearchConfig
from fusegpt.tasks import WaypointsConfig

RATES = {"training.lr": {"low": 1e-4, "high": 1e-2, "log": True}, "model.attn_pdrop": {"low": 0.0, "high": 0.3}}

HEADS = {"model.n_head": [1, 2, 4], "model.n_layer": {"low": 2, "high": 3}}


def searched(**search: Any) -> Experiment:
    parts = {"task": WaypointsConfig(), "model": FusionConfig(), "data": WorldData()}
    plain = Experiment.model_validate({"name": "example", **parts})
    return plain.override({f"search.{key}": value for key, value in search.items()})


@pytest.mark.parametrize(
    ("search", "says"),
    [
        ({"objectives": ["latency"]}, r"search\.objectives\.0: .*'latency_ms' or 'parameters'"),
        ({"objectives": ["parameters", "parameters"]}, r"search\.objectives: names one twice"),
        ({"constraints": {"parameter": {"max": 5}}}, r"search\.constraints\.parameter\.max: .*did you mean parameters"),
        ({"constraints.parameters.max": -1}, r"search\.constraints\.parameters\.max: .*greater than or equal to 0"),
        ({"budget.gpu_hours": 2}, r"search\.budget\.gpu_hours: no trial takes a GPU"),
        ({"warm_start": ["../elsewhere"]}, r"search\.warm_start: '\.\./elsewhere' is no name of a search"),
        ({"algorithm": "hyper"}, r"search\.algorithm: .*'bohb' or 'pbt'"),
        ({"algorithm": "grid", "space": RATES}, r"search\.space\.training\.lr: is a range of real numbers"),
        ({"algorithm": "grid", "space": {"model.n_head": [1, 2]}}, r"search\.space\.model\.n_head: a grid begins with"),
        ({"algorithm": "grid", "space": HEADS, "trials": 5}, r"search\.trials: the grid .* has 6 combinations, not 5"),
        ({"algorithm": "grid", "space": HEADS, "trials": 6, "warm_start": ["a"]}, r"search\.warm_start: a grid learns"),
        ({"algorithm": "pbt", "space": {"model.n_embd": [64, 128]}}, r"search\.space\.model\.n_embd: cannot change"),
        ({"algorithm": "pbt", "space": {"training.batch_size": [8, 16]}}, r"search\.space\.training\.batch_size"),
        ({"algorithm": "pbt", "space": RATES, "trials": 3}, r"search\.trials: .* at least, not 3"),
        ({"algorithm": "pbt", "space": RATES, "grace_epochs": 12}, r"training\.epochs: is 12, one generation"),
        ({"algorithm": "pbt", "space": RATES, "objectives": ["parameters"]}, r"search\.objectives: under pbt"),
    ],
)
def test_what_cannot_work_or_take_effect_is_refused_by_its_key(search: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingError, match=says):
        searched(**search)


@pytest.mark.parametrize("algorithm", ["random", "asha", "tpe", "bohb", "pbt"])
def test_every_algorithm_searches_rates_and_dropouts(algorithm: str) -> None:
    assert searched(algorithm=algorithm, space=RATES).search.algorithm == algorithm


def test_one_name_may_be_written_without_a_list() -> None:
    search = searched(objectives="latency_ms", warm_start="auto").search
    assert (search.objectives, search.warm_start) == (("latency_ms",), ("auto",))


def test_what_has_to_be_known_of_a_model_is_what_is_wanted_or_limited() -> None:
    assert SearchConfig().costs == ()
    asked = searched(**{"objectives": ["parameters"], "constraints.latency_ms.max": 20}).search
    assert asked.costs == ("latency_ms", "parameters")
    assert asked.constraints.limits() == {"latency_ms": 20.0}
