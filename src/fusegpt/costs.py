"""What a model costs beside what it gets wrong: its parameters, counted; its latency, measured."""

from __future__ import annotations

import time
from statistics import median

from fusegpt.experiment import Experiment

WARM_UPS, REPEATS, SECONDS = 3, 30, 2.0


def parameters(experiment: Experiment) -> int:
    """Parameters of the model, counted without memory for them and without fetching any."""
    import torch

    pretrained = experiment.settings().get("model.pretrained")
    if pretrained:  # False, or the empty name, by the kind of the model
        experiment = experiment.override({"model.pretrained": type(pretrained)()})
    with torch.device("meta"):
        model = experiment.task.build(experiment).build_model()
    return sum(parameter.numel() for parameter in model.parameters())


def latency_ms(experiment: Experiment, device: str = "cpu") -> float:
    """Milliseconds of one sample's forward, its way to the device and back included, by the predictor's own example.

    The median of up to REPEATS, in SECONDS at most, after WARM_UPS; with untrained weights, which take as long as
    trained ones, and as many threads as torch has at the moment.
    """
    import torch

    from fusegpt.predictor import Predictor

    task = experiment.task.build(experiment)
    predictor = Predictor(experiment, task, task.build_model(fetch=False), torch.device(device))
    batch = predictor.encode([predictor.example()])
    for _ in range(WARM_UPS):
        predictor.forward(batch)
    taken: list[float] = []
    while len(taken) < REPEATS and sum(taken) < SECONDS:
        start = time.perf_counter()
        predictor.forward(batch)
        taken.append(time.perf_counter() - start)
    return median(taken) * 1e3
