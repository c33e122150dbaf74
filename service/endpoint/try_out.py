"""An example to try a model with, for those who have no recording at hand: a frame of the synthetic world."""

from __future__ import annotations

import base64
import io
from functools import lru_cache
from typing import Any

import numpy as np

from fusegpt.signature import Signature

FRAMES = 12
HEIGHT_PX, WIDTH_PX = 188, 620  # half of KITTI's


def can_make(signature: Signature) -> bool:
    """Whether the synthetic world has everything that the model takes."""
    from fusegpt.data.sample import Sample

    return all(tensor.name in Sample.__dataclass_fields__ for tensor in signature.inputs)


@lru_cache(maxsize=FRAMES)
def make(number: int) -> dict[str, Any]:
    """Frame `number` of the examples: files and numbers by input name, the way driven, and how to draw on the image."""
    from PIL import Image

    from fusegpt.data.world.config import WorldData

    reader = WorldData(
        n_drives=FRAMES, seconds_per_drive=12.0, rate_hz=0.25, image_height_px=HEIGHT_PX, image_width_px=WIDTH_PX
    ).reader()
    sample = list(reader.samples(reader.drives()[number % FRAMES]))[-1]
    picture = io.BytesIO()
    Image.fromarray(sample.image).save(picture, "PNG")
    return {
        "files": {
            "image": _file("example.png", picture.getvalue()),
            "sweep": _file("example.bin", sample.sweep.astype("<f4").tobytes()),
        },
        "numbers": {"speed_mps": [sample.speed_mps], "target_point": _numbers(sample.target_point)},
        "truth": _numbers(sample.waypoints),
        "projection": _numbers(sample.projection),
    }


def _file(name: str, content: bytes) -> dict[str, str]:
    return {"name": name, "base64": base64.b64encode(content).decode()}


def _numbers(array: np.ndarray[Any, Any]) -> list[Any]:
    numbers: list[Any] = array.astype(float).round(4).tolist()
    return numbers
