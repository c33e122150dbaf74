"""Ask the endpoint by Triton's own clients, over HTTP and gRPC: `python ask_endpoint.py HOST MODEL`; prints JSON."""

import json
import os
import sys
from typing import Any

import numpy as np
import tritonclient.grpc as over_grpc  # type: ignore[import-untyped]
import tritonclient.http as over_http  # type: ignore[import-untyped]

from fusegpt.data.world.config import WorldData

TYPES = {"uint8": "UINT8", "float32": "FP32"}


def main(host: str, model: str) -> None:
    http = over_http.InferenceServerClient(f"{host}:8700", network_timeout=30.0)
    grpc = over_grpc.InferenceServerClient(f"{host}:8702")
    token = {"authorization": f"Bearer {os.environ['FUSEGPT_TOKEN']}"}
    answer = http.infer(model, inputs(over_http), headers=dict(token))  # it adds to them
    waypoints = {"http": answer.as_numpy("waypoints").tolist()}
    waypoints["grpc"] = grpc.infer(model, inputs(over_grpc), headers=token).as_numpy("waypoints").tolist()
    sys.stdout.write(json.dumps({"version": answer.get_response()["model_version"], "waypoints": waypoints}))


def inputs(protocol: Any) -> list[Any]:
    """A frame of the synthetic world as the client of this protocol takes it."""
    reader = WorldData(n_drives=3, seconds_per_drive=5).reader()
    sample = next(reader.samples(reader.drives()[0]))
    arrays: dict[str, np.ndarray[Any, Any]] = {
        "image": sample.image[None],
        "sweep": sample.sweep[None],
        "speed_mps": np.array([[sample.speed_mps]], np.float32),
        "target_point": np.array([sample.target_point], np.float32),
    }
    made = [protocol.InferInput(name, list(array.shape), TYPES[array.dtype.name]) for name, array in arrays.items()]
    for each, array in zip(made, arrays.values(), strict=True):
        each.set_data_from_numpy(array)
    return made


if __name__ == "__main__":
    main(*sys.argv[1:])
