"""`/v1/attention`: where a request's tokens look, for the page to show. Not counted as a prediction.

Shapes: T tokens, those of the image first, then those of the ground, far ahead and left first, each row by row.
"""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
from fastapi import FastAPI, Request
from starlette.responses import JSONResponse, Response

from fusegpt.signature import InputError
from service.endpoint.champion import Served
from service.endpoint.config import EndpointConfig
from service.endpoint.decode import decode
from service.endpoint.engine import Engine
from service.endpoint.form import Part, read_form
from service.endpoint.problem import ProblemError, of_inputs

DIGITS = 5


def add_route(app: FastAPI, engine: Engine) -> None:
    """The route, one request at a time: each takes a copy of the model, and predictions go first."""
    turn = asyncio.Lock()

    @app.post("/v1/attention", summary="Where the parts of one form's image and sweep look")
    async def attention(request: Request) -> Response:
        """The same form as `/v1/predict`; the answer has a weight for each pair of tokens, the mean of the heads."""
        served, config = engine.served(), engine.config
        form = await engine.read(lambda: read_form(request.headers, request.stream(), config))
        try:
            async with asyncio.timeout(config.timeout_s), turn:
                return JSONResponse(await asyncio.to_thread(_attention, served, form.value, config))
        except TimeoutError:
            raise ProblemError(504, f"there was no answer within {config.timeout_s:g} s") from None
        except InputError as error:
            raise of_inputs([error]) from None


def _attention(served: Served, form: dict[str, Part], config: EndpointConfig) -> dict[str, Any]:
    """Raises ProblemError 404 where the model has no attention between an image and the ground."""
    tell = getattr(served.predictor, "attention", None)
    found = tell(decode(form, served.signature, config)) if tell is not None else None
    if found is None:
        raise ProblemError(404, f"version {served.version} of {served.name} has no attention to show")
    return {
        "model": {"name": served.name, "version": served.version},
        "image_grid": found.image_grid,
        "lidar_grid": found.lidar_grid,
        "x_m": found.x_m,
        "y_m": found.y_m,
        "heads": len(found.weights),
        "weights": np.round(found.weights.mean(axis=0).astype(float), DIGITS).tolist(),
    }
