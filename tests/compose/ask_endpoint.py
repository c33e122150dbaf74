"""Ask the endpoint for waypoints by Triton's own client: `python ask_endpoint.py HOST:PORT MODEL`; prints JSON."""

import json
import os
import sys
from typing import Any

import numpy as np
from tritonclient.http import InferenceServerClient, InferInput  # type: ignore[import-untyped]

from fusegpt.data.world.config import WorldData

TYPES = {"uint8": "UINT8", "float32": "FP32"}


def main(address: str, model: str) -> None:
    reader = WorldData(n_drives=3, seconds_per_drive=5).reader()
    sample = next(reader.samples(reader.drives()[0]))
    arrays: dict[str, np.ndarray[Any, Any]] = {
        "image": sample.image[None],
        "sweep": sample.sweep[None],
        "speed_mps": np.array([[sample.speed_mps]], np.float32),
        "target_point": np.array([sample.target_point], np.float32),
    }
    inputs = []
    for name, array in arrays.items():
        inputs.append(InferInput(name, list(array.shape), TYPES[array.dtype.name]))
        inputs[-1].set_data_from_numpy(array)
    with InferenceServerClient(address, network_timeout=30.0) as client:
        answer = client.infer(model, inputs, headers={"Authorization": f"Bearer {os.environ['FUSEGPT_TOKEN']}"})
        told = {"version": answer.get_response()["model_version"], "waypoints": answer.as_numpy("waypoints").tolist()}
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
