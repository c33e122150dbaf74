"""A picture file -> pixels. The declared size is judged before a pixel is decoded."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from fusegpt.signature import Tensor
from service.endpoint.config import EndpointConfig
from service.endpoint.problem import FieldError

FORMATS = ("PNG", "JPEG")
# 8 bits a channel: what `convert` keeps without inventing a scale.
MODES = ("1", "L", "LA", "P", "RGB", "RGBA")
BROKEN = (OSError, SyntaxError, ValueError, EOFError, TypeError, IndexError, KeyError, struct.error, zlib.error)


def decode_image(content: bytes | bytearray, tensor: Tensor, config: EndpointConfig) -> np.ndarray[Any, Any]:
    """(H, W, 3) uint8 RGB, or (H, W, 1) / (H, W) where the signature asks for one channel.

    Orientation tags are not applied: a camera's pixels are taken as they lie in the file.
    Raises FieldError: 413 too many pixels, 415 another format, 422 a broken file or another size.
    """
    picture = _open(content, tensor.name)
    width, height = picture.size
    check_pixels(width, height, tensor, config)
    if picture.mode not in MODES:
        raise FieldError(415, tensor.name, f"send 8-bit grey or RGB, not pixels of mode {picture.mode}")
    try:
        pixels = np.asarray(picture.convert("RGB" if _channels(tensor) == 3 else "L"))
    except BROKEN as error:
        raise FieldError(422, tensor.name, f"the image file is broken: {error}") from None
    return pixels[..., None] if _channels(tensor) == 1 and len(tensor.shape) == 3 else pixels


def check_pixels(width: int, height: int, tensor: Tensor, config: EndpointConfig) -> None:
    """Raises FieldError 413 where an image has too many pixels."""
    if width * height > config.max_image_mpx * 1e6:
        message = f"the image has {width} x {height} pixels, the limit is {config.max_image_mpx:g} megapixels"
        raise FieldError(413, tensor.name, message)


def _channels(tensor: Tensor) -> int:
    return 3 if len(tensor.shape) == 3 and tensor.shape[-1] in (3, -1) else 1


def _open(content: bytes | bytearray, name: str) -> Image.Image:
    try:
        return Image.open(BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError:
        raise FieldError(415, name, "send a PNG or JPEG file") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):  # the latter where warnings are errors
        raise FieldError(413, name, "the image declares far too many pixels") from None
    except BROKEN as error:
        raise FieldError(422, name, f"the image file is broken: {error}") from None
