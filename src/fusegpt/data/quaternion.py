"""Unit quaternions (w, x, y, z) as the recordings write them, and poses made of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray


def rotation(quaternion: Sequence[float] | ArrayLike) -> NDArray[np.float64]:
    """(4,) w x y z -> (3, 3). Raises ValueError where it is not four finite numbers of length about one."""
    q = np.asarray(quaternion, dtype=np.float64)
    norm = float(np.linalg.norm(q)) if q.shape == (4,) else 0.0
    if not abs(norm - 1.0) < 1e-2:
        raise ValueError(f"{quaternion!r} is no unit quaternion")
    w, (x, y, z) = q[0] / norm, q[1:] / norm
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    turned: NDArray[np.float64] = np.eye(3) + 2 * w * cross + 2 * cross @ cross
    return turned


def pose(quaternion: Sequence[float] | ArrayLike, translation: Sequence[float] | ArrayLike) -> NDArray[np.float64]:
    """A turn and a shift as (4, 4). Raises ValueError where either is not finite or has the wrong length."""
    shift = np.asarray(translation, dtype=np.float64)
    if shift.shape != (3,) or not np.isfinite(shift).all():
        raise ValueError(f"{translation!r} is no position of three finite numbers")
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation(quaternion), shift
    return matrix
