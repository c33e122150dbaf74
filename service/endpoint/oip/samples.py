"""Named tensors, however they came -> the samples of a batch, each its arrays by input name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fusegpt.config import closest
from fusegpt.signature import InputError, Signature
from service.endpoint.config import EndpointConfig
from service.endpoint.decode import Array
from service.endpoint.oip.tensor import read_tensor
from service.endpoint.problem import ProblemError, of_inputs

UNSUPPORTED = ("shared_memory_region", "classification")

# One tensor as the protocol tells it (name, datatype, shape, data), and its binary data; None where it has `data`.
Sent = tuple[Mapping[str, Any], memoryview | None]


def check_tensor(name: str, parameters: Mapping[str, Any]) -> None:
    """Raises ProblemError where a tensor asks for what is not offered here."""
    for each in UNSUPPORTED:
        if each in parameters:
            raise ProblemError(400, f"the parameter {each} is not supported here", name)


def check_names(names: Sequence[str]) -> None:
    """Raises ProblemError where a tensor is given twice."""
    for name in names:
        if names.count(name) > 1:
            raise ProblemError(400, "is given twice", name)


def check_outputs(names: Sequence[str], signature: Signature) -> None:
    """Raises ProblemError where an output is asked for that the model does not give."""
    known = [tensor.name for tensor in signature.outputs]
    for name in names:
        if name not in known:
            told = f"is no output of this model; it gives {', '.join(known)}{closest(name[:80], known)}"
            raise ProblemError(400, told, name[:80])


def read_samples(sent: Sequence[Sent], signature: Signature, config: EndpointConfig) -> list[dict[str, Array]]:
    """The samples of the batch. Raises ProblemError that names every wrong, missing or unknown tensor."""
    arrays = _arrays(sent, signature, config)
    size = _batch_size(arrays, config)
    return [{name: batch[row] for name, batch in arrays.items()} for row in range(size)]


def _arrays(sent: Sequence[Sent], signature: Signature, config: EndpointConfig) -> dict[str, Any]:
    """Each input as an array, or a list of arrays of differing sizes, one element a sample."""
    tensors = {tensor.name: tensor for tensor in signature.inputs}
    given = {entry["name"]: (entry, content) for entry, content in sent}
    errors: list[InputError] = []
    arrays: dict[str, Any] = {}
    for name, tensor in tensors.items():
        try:
            if name not in given:
                raise InputError(name, "is missing" + (f" ({tensor.description})" if tensor.description else ""))
            arrays[name] = read_tensor(*given[name], tensor, config)
        except InputError as error:
            errors.append(error)
    known = list(tensors)
    for name in (name[:80] for name in given if name not in tensors):
        told = f"is no input of this model; it takes {', '.join(known)}{closest(name, known)}"
        errors.append(InputError(name, told))
    if errors:
        raise of_inputs(errors)
    return arrays


def _batch_size(arrays: Mapping[str, Any], config: EndpointConfig) -> int:
    sizes = {name: len(batch) for name, batch in arrays.items()}
    first, size = next(iter(sizes.items()), ("", 1))
    for name, other in sizes.items():
        if other != size:
            raise ProblemError(422, f"has the batch size {other}, {first} has {size}", name)
    if not 1 <= size <= config.max_batch_size:
        raise ProblemError(422, f"has the batch size {size}; 1 to {config.max_batch_size} are taken", first)
    return size
