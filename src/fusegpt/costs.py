"""What a model costs beside what it gets wrong: its parameters and operations, counted; its latency, measured."""

from __future__ import annotations

import time
from statistics import median

from fusegpt.experiment import Experiment

WARM_UPS, REPEATS, SECONDS = 3, 30, 2.0


def parameters(experiment: Experiment) -> int:
    """Parameters of the model, counted without memory for them and without fetching any."""
    import torch

    experiment = without_weights(experiment)
    with torch.device("meta"):
        model = experiment.task.build(experiment).build_model()
    return sum(parameter.numel() for parameter in model.parameters())


def without_weights(experiment: Experiment) -> Experiment:
    """The experiment with a model of the same size that fetches no published weights."""
    pretrained = experiment.settings().get("model.pretrained")
    # False, or the empty name, by the kind of the model.
    return experiment.override({"model.pretrained": type(pretrained)()}) if pretrained else experiment


def forward_flops(experiment: Experiment) -> int | None:
    """Floating-point operations of one sample's forward, a multiplication and an addition counted as two.

    By torch's own counter (matrix products, convolutions, attention, recurrent cells), with no memory for the model.
    Of an answer; of a training sample, where the answers are as long as the model makes them (`flops_are_taught`).
    None where that reads a value, for there are none here.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from fusegpt.predictor import Predictor
    from fusegpt.tasks.task import Teaches

    experiment = without_weights(experiment)
    task = experiment.task.build(experiment)
    with torch.device("meta"):
        model = task.build_model().eval()
    request = Predictor(experiment, task, torch.nn.Identity(), torch.device("cpu")).example()
    batch = {name: tensor.to("meta") for name, tensor in task.encode([request]).items()}
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        try:
            task.teach(model) if isinstance(task, Teaches) else task.predict(model, batch)
        except (RuntimeError, NotImplementedError):
            return None
    return int(counter.get_total_flops())


def flops_are_taught(experiment: Experiment) -> bool:
    """Whether its operations are counted of a training sample, not of an answer."""
    from fusegpt.tasks.task import Teaches

    return isinstance(experiment.task.build(experiment), Teaches)


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
