"""Pickles of data sets, read without running what they say.

TransFuser's CARLA sweeps of 2022 and OpenScene's logs were published as pickles. A pickle is a program: whoever wrote
it chooses what is called when it is read. Here it can call nothing but the functions of this file, which make arrays of
numbers and text and refuse the rest; not even NumPy's own constructors are within its reach, because those trust what
they are told about memory. Nothing on the serving path reads a pickle.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray


class UnsafePickleError(ValueError):
    """The file is no pickle, or asks for more than arrays and plain containers."""


class _Dtype:
    """Stands for numpy.dtype: numbers, text and, for arrays of arrays, objects."""

    def __init__(self, code: str, align: bool = False, copy: bool = True) -> None:
        del align, copy
        self.code, self.order = str(code), "="
        if self.code[:1] not in "?biufcSUO":
            raise UnsafePickleError(f"holds an array of type {code!r}; numbers and text are read")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = str(state[1])

    def real(self) -> np.dtype[Any]:
        dtype = np.dtype(self.code)
        return dtype.newbyteorder(self.order) if self.order in "<>" else dtype  # type: ignore[arg-type]


class _Array:
    """Stands for an array until its content is known."""

    value: NDArray[Any]

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, content = state
        if dtype.code.startswith("O"):
            self.value = np.empty(len(content), dtype=object)
            self.value[:] = [_plain(item) for item in content]
            self.value = self.value.reshape(shape)
        else:
            self.value = np.frombuffer(content, dtype.real()).reshape(shape, order="F" if fortran else "C")


def _reconstruct(*_: object) -> _Array:
    return _Array()


def _frombuffer(content: Any, dtype: _Dtype, shape: Any, order: Any, axes: Any = None) -> NDArray[Any]:
    array = np.frombuffer(content, dtype.real())
    if order == "K" and axes is not None:
        return array.reshape(shape).transpose(axes)
    return array.reshape(shape, order=order)


def _scalar(dtype: _Dtype, content: Any) -> Any:
    return np.frombuffer(content, dtype.real())[0]


def _latin1(text: str, encoding: str) -> bytes:
    """How protocols before 3 write bytes."""
    if encoding != "latin1":
        raise UnsafePickleError(f"holds text in {encoding}")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """How those protocols write the content of an empty array."""
    return b""


# The names under which NumPy 1 and 2 write arrays and scalars, and what stands for each here.
_KNOWN: Mapping[tuple[str, str], Any] = {
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _reconstruct for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _frombuffer for core in ("core", "_core")},
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): None,
    ("_codecs", "encode"): _latin1,
    ("__builtin__", "bytes"): _no_bytes,
}


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _KNOWN:
            return _KNOWN[module, name]
        raise UnsafePickleError(f"asks for {module}.{name}; only arrays and plain containers are read")

    def persistent_load(self, pid: Any) -> Any:
        raise UnsafePickleError(f"refers to something outside of it: {pid!r}")


def load_pickle(content: bytes) -> Any:
    """The object of a pickle that holds only arrays, numbers, text and plain containers. Raises UnsafePickleError."""
    return _guarded(lambda: _plain(_PlainUnpickler(io.BytesIO(content)).load()))


def load_npy(content: bytes) -> NDArray[Any]:
    """A .npy file; one that holds objects is read by `load_pickle`'s rule. Raises UnsafePickleError."""
    array: NDArray[Any] = np.asarray(_guarded(lambda: _read_npy(io.BytesIO(content))))
    return array


def _read_npy(stream: io.BytesIO) -> Any:
    version = npy.read_magic(stream)
    _, _, dtype = npy.read_array_header_1_0(stream) if version == (1, 0) else npy.read_array_header_2_0(stream)
    if dtype.hasobject:
        return _plain(_PlainUnpickler(stream).load())
    stream.seek(0)
    return npy.read_array(stream, allow_pickle=False)


def _plain(item: Any) -> Any:
    """The object with each stand-in replaced by its array."""
    if isinstance(item, _Array):
        return item.value
    if isinstance(item, list | tuple | set | frozenset):
        return type(item)(_plain(inner) for inner in item)
    if isinstance(item, dict):
        return {_plain(key): _plain(value) for key, value in item.items()}
    return item


def _guarded(read: Callable[[], Any]) -> Any:
    """A broken or hostile pickle can fail in almost any way; to the reader of a data set all of them are one."""
    try:
        return read()
    except UnsafePickleError:
        raise
    except Exception as error:
        raise UnsafePickleError(f"cannot be read: {type(error).__name__}: {error}") from None
