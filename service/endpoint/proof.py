"""What a version must show before it answers anybody: that it loads, and gives finite answers of the promised names."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fusegpt.signature import Signature
from service.endpoint.champion import Arrays, Predictor, Served
from service.endpoint.example import example

WARM_TO = 16


def proven(name: str, version: int, folder: Path, load: Callable[[Path], Predictor], largest_batch: int) -> Served:
    """The version, loaded, warm, and proven to answer batches from one to the largest. Raises what goes wrong."""
    predictor = load(folder)
    signature = predictor.signature
    predictor.warm_up()
    for size in sizes(largest_batch):
        check_answers(predictor.predict([example(signature)] * size), signature, size)
    return Served(name, version, predictor, signature, _metrics(folder), time.time())


def sizes(largest: int) -> list[int]:
    """The sizes of batches to try: an engine prepares itself for each, so small ones have all been met before."""
    return sorted({*range(1, min(largest, WARM_TO) + 1), largest})


def check_answers(answers: Sequence[Arrays], signature: Signature, count: int) -> None:
    """Raises ValueError where answers are missing, misnamed or not finite."""
    if len(answers) != count:
        raise ValueError(f"{count} requests gave {len(answers)} answers")
    names = {tensor.name for tensor in signature.outputs}
    for answer in answers:
        if set(answer) != names:
            raise ValueError(f"it answers {sorted(answer)}, its signature says {sorted(names)}")
        for name, value in answer.items():
            if value.dtype.kind == "f" and not np.isfinite(value).all():
                raise ValueError(f"its {name} is not finite")


def _metrics(folder: Path) -> Mapping[str, Any]:
    """The figures that the training kept beside the weights, where it did."""
    file = folder / "metrics.json"
    return dict(json.loads(file.read_text()).get("metrics", {})) if file.is_file() else {}
