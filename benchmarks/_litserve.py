"""The same model behind LitServe: `python -m benchmarks._litserve MODEL PORT`. Files come in JSON, as base64.

Its form's files cannot be used: LitServe hands a request to its worker process by pickle, which large ones refuse.
"""

from __future__ import annotations

import base64
import io
import os
import sys
from pathlib import Path
from typing import Any

import litserve
import numpy as np
import torch
from PIL import Image

from fusegpt.predictor import Predictor


class Fusion(litserve.LitAPI):  # type: ignore[misc]
    """What LitServe's documentation would have one write."""

    def setup(self, device: str) -> None:
        torch.set_num_threads(1)
        self.predictor = Predictor.load(Path(os.environ["MODEL"]), device)

    # LitServe makes an annotation of the request its schema.
    def decode_request(self, request):  # type: ignore[no-untyped-def]
        image, sweep = (base64.b64decode(request[name]) for name in ("image", "sweep"))
        return {
            "image": np.asarray(Image.open(io.BytesIO(image)).convert("RGB")),
            "sweep": np.frombuffer(bytearray(sweep), np.float32).reshape(-1, 4),
            "speed_mps": np.array([request["speed_mps"]], np.float32),
            "target_point": np.array(request["target_point"], np.float32),
        }

    def predict(self, inputs: dict[str, Any]) -> dict[str, Any]:
        return dict(self.predictor.predict([inputs])[0])

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        return {name: value.tolist() for name, value in output.items()}


if __name__ == "__main__":
    os.environ["MODEL"] = sys.argv[1]
    server = litserve.LitServer(Fusion(), accelerator="cpu", workers_per_device=1)
    server.run(
        host="127.0.0.1", port=int(sys.argv[2]), generate_client_file=False, num_api_servers=1, log_level="warning"
    )
