"""IDX, the format of MNIST's files: two zero bytes, a type, the number of dimensions, their sizes, the numbers.

LeCun, Cortes and Burges, The MNIST Database of Handwritten Digits. Big-endian; here only its unsigned bytes.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fusegpt.data.sample import DataError

UNSIGNED_BYTE = 0x08
GZIP = b"\x1f\x8b"


def read_idx(file: Path, dimensions: int) -> NDArray[np.uint8]:
    """The numbers of an IDX file, also where it is gzipped. Raises DataError naming the file."""
    content = _content(file)
    if len(content) < 4 or content[:2] != b"\0\0":
        raise DataError(f"{file}: is no IDX file; it must begin with two zero bytes")
    kind, count = content[2], content[3]
    if kind != UNSIGNED_BYTE:
        raise DataError(f"{file}: holds numbers of type 0x{kind:02x}; unsigned bytes (0x08) are right")
    if count != dimensions:
        raise DataError(f"{file}: has {count} dimensions; {dimensions} are right")
    start = 4 + 4 * count
    if len(content) < start:
        raise DataError(f"{file}: ends within its header, after {len(content)} bytes")
    shape = struct.unpack(f">{count}I", content[4:start])
    promised = math.prod(shape)
    if len(content) - start != promised:
        raise DataError(f"{file}: has {len(content) - start} numbers; its header promises {promised}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _content(file: Path) -> bytes:
    """The file's bytes, unzipped: what it holds tells, not its name."""
    try:
        content = file.read_bytes()
        return gzip.decompress(content) if content.startswith(GZIP) else content
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{file}: is a broken gzip file ({error})") from None
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror})") from None
