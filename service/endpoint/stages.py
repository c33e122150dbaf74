"""`Stages`: one prediction of a batch, in the stages that can be told apart, each timed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from service.endpoint.champion import Arrays, Served
from service.endpoint.metrics import Metrics

Inputs = Sequence[Mapping[str, np.ndarray[Any, Any]]]


@runtime_checkable
class Staged(Protocol):
    """A predictor whose `predict` is these three in a row."""

    def encode(self, inputs: Inputs) -> Any: ...

    def forward(self, batch: Any) -> Any: ...

    def decode(self, outputs: Any) -> Sequence[Arrays]: ...


class Stages:
    """Predicts with one served model. Called from one thread."""

    def __init__(self, served: Served, metrics: Metrics) -> None:
        self.served = served
        self._metrics = metrics

    def __call__(self, inputs: Inputs) -> Sequence[Arrays]:
        """One answer per request, in order. Raises InputError naming the field."""
        served, predictor = self.served, self.served.predictor
        self._metrics.batch(served.name, served.version, len(inputs))
        if not isinstance(predictor, Staged):
            with self._metrics.timed(served, "forward"):
                return predictor.predict(inputs)
        with self._metrics.timed(served, "encode"):
            batch = predictor.encode(inputs)
        with self._metrics.timed(served, "forward"):
            outputs = predictor.forward(batch)
        with self._metrics.timed(served, "finish"):
            return predictor.decode(outputs)
