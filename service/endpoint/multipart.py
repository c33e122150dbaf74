"""The protocol for people: one multipart form in, one JSON object out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from service.endpoint.champion import Arrays, Served, answered_by
from service.endpoint.decode import decode
from service.endpoint.engine import Answered, Engine
from service.endpoint.form import read_form


@dataclass(frozen=True)
class OneSample:
    """A form is one sample."""

    samples: list[Arrays]


async def predict(engine: Engine, request: Request) -> Response:
    """The answer to one form. Raises ProblemError."""
    headers, config = request.headers, engine.config
    with engine.counted("form") as count:
        count.served = served = engine.chosen(headers)
        form = await engine.read(lambda: read_form(headers, request.stream(), config))
        _, answer = await engine.answer(
            served, lambda: OneSample([decode(form.value, served.signature, config)]), form.seconds
        )
        with engine.metrics.timed(answer.served, "respond"):
            response = JSONResponse(_plain(answer.served, answer), headers=answered_by(answer.served))
        count.answered(answer.served, 1)
    return response


def _plain(served: Served, answer: Answered) -> dict[str, Any]:
    return {
        **{name: _value(value) for name, value in answer.values[0].items()},
        "model": {"name": served.name, "version": served.version},
        "timings_ms": {stage: round(1000 * seconds, 3) for stage, seconds in answer.stages_s.items()},
        "batch_size": answer.batch_size,
    }


def _value(value: np.ndarray[Any, Any]) -> Any:
    """Lists of numbers; one number where there is only one."""
    return value.item() if value.shape in ((), (1,)) else value.tolist()
