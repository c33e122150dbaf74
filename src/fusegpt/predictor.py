"""`Predictor`: a checkpoint folder made into a model that answers."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fusegpt.experiment import Experiment
from fusegpt.nn.exported import Exported, ExportError, available, exported
from fusegpt.nn.folding import ready_to_answer
from fusegpt.signature import Signature
from fusegpt.tasks.attention import Attends, Attention
from fusegpt.tasks.task import Batch, Task
from fusegpt.training.checkpoint import load_weights, read_experiment
from fusegpt.training.folder import settle

Inputs = Mapping[str, NDArray[np.generic]]
Answer = dict[str, NDArray[np.generic]]
EngineName = Literal["auto", "torch", "openvino"]

log = logging.getLogger(__name__)


class Predictor:
    """A ready model: inputs -> batch -> outputs -> answers.

    Safe to use from several threads at once: nothing in it changes after it is made.
    """

    def __init__(self, experiment: Experiment, task: Task, model: nn.Module, device: torch.device) -> None:
        self.experiment = experiment
        self.task = task
        self.device = device
        self.model = model.to(device).eval().requires_grad_(False)
        self._answering = self.model  # or what stands in for it

    @classmethod
    def load(cls, folder: Path | str, device: str = "cpu") -> Predictor:
        """The model kept in `folder` (experiment.json, model.safetensors). Raises CheckpointError naming the file."""
        folder = Path(folder)
        if not folder.exists():
            settle(folder)
        experiment = read_experiment(folder)
        task: Task = experiment.task.build(experiment)
        model = task.build_model(fetch=False)
        load_weights(folder, model)
        return cls(experiment, task, model, torch.device(device))

    def ready(self, engine: EngineName = "torch") -> Predictor:
        """One that answers the same, sooner where the model has convolutions (`fusegpt.nn.folding`).

        `auto` and `openvino` have the model run by OpenVINO (`fusegpt.nn.exported`) where that can be; `openvino` says
        so as well where it is not installed. Which one it became, `engine` tells.
        """
        model = ready_to_answer(self.model, lambda model: self.task.predict(model, self._typical()))
        made = self if model is self.model else Predictor(self.experiment, self.task, model, self.device)
        if engine == "torch" or self.device.type != "cpu" or (engine == "auto" and not available()):
            return made
        return made._as_graph()

    def _as_graph(self) -> Predictor:
        made = copy.copy(self)

        def run(model: nn.Module, size: int) -> Batch:
            return self.task.predict(model, self._typical(size))

        try:
            made._answering = exported(self.model, run, torch.get_num_threads())
        except ExportError as error:
            log.warning("%s is run by PyTorch, not by OpenVINO: %s", self.experiment.name, error)
        return made

    @property
    def engine(self) -> Literal["torch", "openvino"]:
        """What runs the model."""
        return "openvino" if isinstance(self._answering, Exported) else "torch"

    def _typical(self, size: int = 1) -> Batch:
        """A batch of requests with noise in their pictures and sweeps: enough to compare two models by."""
        rng = np.random.default_rng(0)
        batch = self.encode([self._noise(rng) for _ in range(size)])
        return {name: value.to(self.device) for name, value in batch.items()}

    def _noise(self, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
        request = self.example()
        for tensor in self.signature.inputs:
            if tensor.media in ("image", "sweep"):
                shape, low, high = request[tensor.name].shape, *((0, 256) if tensor.media == "image" else (-20, 20))
                request[tensor.name] = rng.uniform(low, high, shape).astype(tensor.dtype)
        return request

    @property
    def signature(self) -> Signature:
        """What goes in and what comes out."""
        return self.task.signature

    def predict(self, inputs: Sequence[Inputs]) -> list[Answer]:
        """One answer per request, in order. Raises InputError naming the field."""
        return self.decode(self.forward(self.encode(inputs))) if inputs else []

    def encode(self, inputs: Sequence[Inputs]) -> Batch:
        """Requests -> one batch. Raises InputError naming the field."""
        return self.task.encode(inputs)

    def forward(self, batch: Batch) -> Batch:
        """A batch -> outputs, from and to the CPU."""
        with torch.inference_mode():
            on_device = {name: tensor.to(self.device) for name, tensor in batch.items()}
            outputs = self.task.predict(self._answering, on_device)
        return {name: tensor.cpu() for name, tensor in outputs.items()}

    def decode(self, outputs: Batch) -> list[Answer]:
        """Outputs -> one answer per request."""
        return self.task.decode(outputs)

    def attention(self, inputs: Inputs) -> Attention | None:
        """Where one request's tokens look; None where the model has nothing to tell. Raises InputError.

        Of a copy of the model: what records it hangs on the model, where other threads' requests would be recorded too.
        """
        if not isinstance(self.task, Attends):
            return None
        batch = {name: tensor.to(self.device) for name, tensor in self.encode([inputs]).items()}
        return self.task.attention(copy.deepcopy(self.model), batch)

    def warm_up(self, batch_sizes: Sequence[int] = (1,)) -> None:
        """Answer made-up requests, so that the first real one waits for nothing."""
        for size in batch_sizes:
            self.predict([self.example()] * size)

    def example(self) -> dict[str, NDArray[Any]]:
        """A request of the right form with nothing in it; free dimensions are small."""
        free = {"image": 64, "sweep": 16}
        return {
            tensor.name: np.asarray(tensor.example)
            if tensor.dtype == "text"
            else np.zeros(
                [size if size > 0 else free.get(tensor.media, 8) for size in tensor.shape],
                dtype=tensor.dtype,
            )
            for tensor in self.signature.inputs
        }
