"""ModelInferRequest -> samples, and answers -> ModelInferResponse, whose tensors are always raw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fusegpt.signature import Signature
from service.endpoint.champion import Arrays, Served
from service.endpoint.config import EndpointConfig
from service.endpoint.oip.datatypes import datatype, pack_bytes
from service.endpoint.oip.request import InferRequest
from service.endpoint.oip.response import outputs_of, packed
from service.endpoint.oip.samples import Sent, check_names, check_outputs, check_tensor, read_samples
from service.endpoint.problem import ProblemError
from service.endpoint.rpc.service import answer

TYPED = {"UINT8": "uint_contents", "INT64": "int64_contents", "FP32": "fp32_contents", "BYTES": "bytes_contents"}


def read_message(asked: Any, signature: Signature, config: EndpointConfig) -> InferRequest:
    """The same as over HTTP. Raises ProblemError that names every wrong, missing or unknown tensor."""
    outputs = [output.name for output in asked.outputs]
    for tensor in (*asked.inputs, *asked.outputs):
        check_tensor(tensor.name, tensor.parameters)
    check_names(outputs)
    check_names([tensor.name for tensor in asked.inputs])
    check_outputs(outputs, signature)
    samples = read_samples(_sent(asked), signature, config)
    wanted = outputs or [tensor.name for tensor in signature.outputs]
    return InferRequest(asked.id, samples, dict.fromkeys(wanted, True))


def _sent(asked: Any) -> list[Sent]:
    """The inputs: all of them raw, or each with its typed contents."""
    raw = list(asked.raw_input_contents)
    if not raw:
        return [_typed(tensor) for tensor in asked.inputs]
    if len(raw) != len(asked.inputs):
        told = f"has {len(raw)} tensors for {len(asked.inputs)} inputs; send one for each, in their order"
        raise ProblemError(400, told, "raw_input_contents")
    for tensor in asked.inputs:
        if tensor.HasField("contents"):
            raise ProblemError(400, "has contents beside raw_input_contents; send one of them", tensor.name)
    return [(_entry(tensor), memoryview(content)) for tensor, content in zip(asked.inputs, raw, strict=True)]


def _typed(tensor: Any) -> Sent:
    field = TYPED.get(tensor.datatype)
    if field is None:
        return _entry(tensor), None  # refused for its datatype, or its name, before its data is looked at
    given = [other.name for other, _ in tensor.contents.ListFields()]
    if given != [field]:
        told = f"has {' and '.join(given) or 'no contents'}; {tensor.datatype} goes into contents.{field}"
        raise ProblemError(400, f"{told}, or all inputs into raw_input_contents", tensor.name)
    content = getattr(tensor.contents, field)
    if tensor.datatype == "BYTES":
        return _entry(tensor), memoryview(pack_bytes(content))
    return {**_entry(tensor), "data": content}, None


def _entry(tensor: Any) -> dict[str, Any]:
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}


def write_message(
    served: Served, request: InferRequest, answers: Sequence[Arrays], parameters: Mapping[str, float]
) -> Any:
    """The response, with the time of each stage among its parameters."""
    told = answer("ModelInfer")
    told.model_name, told.model_version, told.id = served.name, str(served.version), request.id
    for key, value in parameters.items():
        if isinstance(value, int):
            told.parameters[key].int64_param = value
        else:
            told.parameters[key].double_param = value
    for tensor, batch in outputs_of(served, request.wanted, answers):
        told.outputs.add(name=tensor.name, datatype=datatype(tensor), shape=batch.shape)
        told.raw_output_contents.append(packed(tensor, batch))
    return told
