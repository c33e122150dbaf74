from __future__ import annotations

import pytest

import experiments
from fusegpt import costs
from fusegpt.data import WorldData
from fusegpt.experiment import Experiment
from fusegpt.models import FusionConfig
from fusegpt.tasks import WaypointsConfig


def tiny(n_embd: int = 32) -> Experiment:
    return Experiment(
        name="tiny",
        task=WaypointsConfig(),
        model=FusionConfig(
            image_encoder="convnext_atto", lidar_encoder="convnext_atto", stages=(4,), n_embd=n_embd, n_head=2,
            n_layer=1, image_anchors=(1, 2), lidar_anchors=(2, 2),
        ),
        data=WorldData(image_height_px=32, image_width_px=64),
    )  # fmt: skip


def test_parameters_are_those_of_the_model_that_is_built() -> None:
    experiment = tiny()
    model = experiment.task.build(experiment).build_model(fetch=False)
    assert costs.parameters(experiment) == sum(parameter.numel() for parameter in model.parameters())
    assert costs.parameters(tiny(64)) > costs.parameters(experiment)


def test_published_weights_are_not_fetched_to_be_counted() -> None:
    experiment = tiny().override({"model.pretrained": True})
    assert costs.parameters(experiment) == costs.parameters(tiny())


def test_operations_grow_with_the_model_and_are_those_of_its_layers() -> None:
    small, large = costs.forward_flops(tiny(32)), costs.forward_flops(tiny(64))
    assert small is not None
    assert large is not None
    assert large > small
    rows = experiments.load("row_classifier")
    width = rows.settings()["model.n_embd"]
    assert (costs.forward_flops(rows) or 0) > 2 * 8 * 4 * width * (8 + width), "8 rows through the four gates"


@pytest.mark.parametrize("name", ["translation", "language_model", "text_to_image"])
def test_a_model_that_writes_as_long_as_it_likes_is_counted_by_a_sample_of_its_training(name: str) -> None:
    experiment = experiments.load(name)
    wider = experiment.override({"model.n_embd": 2 * experiment.settings()["model.n_embd"]})
    counted = [costs.forward_flops(each) or 0 for each in (experiment, wider)]
    assert 2 * counted[0] < counted[1] < 5 * counted[0], "most of it are products of width by width"
    assert costs.flops_are_taught(experiment)
    assert not costs.flops_are_taught(tiny())


def test_a_language_model_multiplies_every_token_by_every_weight() -> None:
    experiment = experiments.load("language_model")
    settings = experiment.settings()
    tables = (settings["model.block_size"] + experiment.data.tokens) * settings["model.n_embd"]  # type: ignore[union-attr]
    weights = costs.parameters(experiment) - tables
    counted = costs.forward_flops(experiment) or 0
    assert counted > 2 * weights * settings["data.block_size"]


def test_latency_is_the_median_of_forwards_after_a_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([t for took in [0.010, 0.020, 0.500] * 10 for t in (0.0, took)])
    monkeypatch.setattr("fusegpt.costs.time.perf_counter", lambda: next(clock))
    monkeypatch.setattr(costs, "SECONDS", 60.0)
    assert costs.latency_ms(tiny()) == pytest.approx(20.0)


def test_latency_of_a_slow_model_is_measured_for_a_limited_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 1.5, 0.0, 1.5])
    monkeypatch.setattr("fusegpt.costs.time.perf_counter", lambda: next(clock))
    assert costs.latency_ms(tiny()) == pytest.approx(1500.0)
