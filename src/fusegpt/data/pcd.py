"""Point clouds in the PCD format (pointclouds.org), version 0.7: ascii and binary."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_KINDS = {"F": "f", "I": "i", "U": "u"}


class PcdError(ValueError):
    """The content is no PCD that can be read; the message says why."""


def read_pcd(content: bytes) -> dict[str, NDArray[np.generic]]:
    """The fields of the points by name, each (N,). Raises PcdError.

    nuPlan pads its files at the end with zeros, so more bytes than the header promises are no error; fewer are.
    """
    header, body = _split(content)
    row = _row(header)
    count = _count(header)
    if header["DATA"] == ["ascii"]:
        points = _ascii(body, row, count)
    elif header["DATA"] == ["binary"]:
        points = _binary(body, row, count)
    else:
        raise PcdError(f"DATA is {' '.join(header['DATA'])}; ascii and binary can be read")
    return {name: points[name] for name in row.names or ()}


def _split(content: bytes) -> tuple[dict[str, list[str]], bytes]:
    header: dict[str, list[str]] = {}
    rest = content
    while "DATA" not in header:
        line, found, rest = rest.partition(b"\n")
        if not found or len(line) > 4096:
            raise PcdError("is no PCD: the header has no line DATA")
        words = line.decode("ascii", "replace").split()
        if words and not words[0].startswith("#"):
            header[words[0].upper()] = words[1:]
    missing = [key for key in ("FIELDS", "SIZE", "TYPE", "POINTS") if not header.get(key)]
    if missing:
        raise PcdError(f"the header has no {', '.join(missing)}")
    return header, rest


def _row(header: dict[str, list[str]]) -> np.dtype[Any]:
    names, sizes, kinds = header["FIELDS"], header["SIZE"], header["TYPE"]
    counts = header.get("COUNT", ["1"] * len(names))
    if not len(names) == len(sizes) == len(kinds) == len(counts) or len(set(names)) != len(names):
        raise PcdError("FIELDS, SIZE, TYPE and COUNT do not fit together")
    if set(counts) != {"1"}:
        raise PcdError(f"COUNT is {' '.join(counts)}; only 1 can be read")
    try:
        return np.dtype([(n, f"<{_KINDS[k]}{int(s)}") for n, k, s in zip(names, kinds, sizes, strict=True)])
    except (KeyError, TypeError, ValueError):
        raise PcdError(f"TYPE {' '.join(kinds)} of SIZE {' '.join(sizes)} is no number format") from None


def _count(header: dict[str, list[str]]) -> int:
    written = " ".join(header["POINTS"])
    if not written.isdecimal():
        raise PcdError(f"POINTS is {written}, not a number")
    return int(written)


def _binary(body: bytes, row: np.dtype[Any], count: int) -> NDArray[Any]:
    if len(body) < count * row.itemsize:
        raise PcdError(f"is cut short: {len(body)} bytes of points, {count} points need {count * row.itemsize}")
    return np.frombuffer(body, row, count)


def _ascii(body: bytes, row: np.dtype[Any], count: int) -> NDArray[Any]:
    lines = [tuple(line.split()) for line in body.splitlines() if line.strip()]
    if len(lines) < count:
        raise PcdError(f"is cut short: {len(lines)} points of {count}")
    try:
        return np.array(lines[:count], dtype=row)
    except ValueError as error:
        raise PcdError(f"has a point that is no number: {error}") from None
