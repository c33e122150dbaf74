"""A trained model as one graph that OpenVINO runs on the CPU: between its operations there is no Python.

The graph is made in memory out of a run of the model itself, and answers for it where the inputs have the shapes of
that run but for the batch; whatever else comes goes to the model. OpenVINO is optional: pip install fusegpt[openvino].
Its front end is asked itself, since `openvino.convert_model` reports its use over the network; and it is given what
`torch.jit.trace` records, since of `torch.export` it takes decomposed graphs alone (docs/decisions/0011).
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import nn

from fusegpt.nn.folding import Outputs, agree

Run = Callable[[nn.Module, int], Outputs]
RECORDED = 2  # samples in the run of which the graph is made: one alone would look like a constant
COMPARED = (1, 3)  # samples in the runs by which graph and model are compared


class ExportError(Exception):
    """A model cannot be run as a graph, or answers otherwise then."""


def available() -> bool:
    """Whether OpenVINO is installed."""
    return find_spec("openvino") is not None


def exported(model: nn.Module, run: Run, threads: int) -> Exported:
    """What answers as `model` does, by a graph on so many threads. Raises ExportError.

    `run` puts so many typical inputs through a model that it is given. The outputs of graph and model are compared for
    batches of other sizes than the one that the graph was made of.
    """
    if not available():
        raise ExportError("it is not installed: pip install 'fusegpt[openvino]'")
    with torch.no_grad():
        try:
            call = _only_call(model, run)
            made = Exported(model, call, _compiled(model, call, threads))
            outputs = [(run(made, size), run(model, size)) for size in COMPARED]
        except ExportError:
            raise
        except Exception as error:  # of the recorder, the front end, the compiler, or of a task that asks more of it
            raise ExportError(f"{type(error).__name__}: {_first_line(error)}") from error
    for size, (ours, theirs) in zip(COMPARED, outputs, strict=True):
        if not agree(ours, theirs):
            raise ExportError(f"its answers to {size} at once are not those of the model: {_apart(ours, theirs)}")
    return made


@dataclass(frozen=True)
class Call:
    """How a model is called: example inputs, batch first, and the names of its outputs; none where it gives one."""

    inputs: tuple[torch.Tensor, ...]
    names: tuple[str, ...]

    def fits(self, inputs: tuple[torch.Tensor, ...]) -> bool:
        """Whether these differ from the example in the batch alone."""
        return len(inputs) == len(self.inputs) and all(
            one.dtype == other.dtype and one.shape[1:] == other.shape[1:] and one.device.type == "cpu"
            for one, other in zip(inputs, self.inputs, strict=True)
        )


class Exported(nn.Module):
    """Stands in for `original`. May be called from several threads at once."""

    def __init__(self, original: nn.Module, call: Call, graph: Any) -> None:
        super().__init__()
        self.original = original
        self._call = call
        self._graph = graph
        self._of_thread = threading.local()

    def forward(self, *inputs: torch.Tensor) -> Any:
        """What `original` gives."""
        if not self._call.fits(inputs):
            return self.original(*inputs)
        found = self._request().infer([tensor.contiguous().numpy() for tensor in inputs], share_inputs=True)
        outputs = [torch.from_numpy(found[i]) for i in range(len(found))]
        return dict(zip(self._call.names, outputs, strict=True)) if self._call.names else outputs[0]

    def _request(self) -> Any:
        """A run of the graph holds its intermediate values, so each thread has its own."""
        if not hasattr(self._of_thread, "request"):
            self._of_thread.request = self._graph.create_infer_request()
        return self._of_thread.request


class _Flat(nn.Module):
    """The model with a tuple of tensors for its outputs, as a graph has it."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        outputs = self.model(*inputs)
        return tuple(outputs.values()) if isinstance(outputs, dict) else (outputs,)


def _only_call(model: nn.Module, run: Run) -> Call:
    """The call of the model in a run. Raises ExportError where there are several, none, or one that is no function."""
    seen: list[tuple[tuple[Any, ...], dict[str, Any], Any]] = []
    handle = model.register_forward_hook(
        lambda _model, inputs, named, outputs: seen.append((inputs, named, outputs)), with_kwargs=True
    )
    try:
        run(model, RECORDED)
    finally:
        handle.remove()
    if len(seen) != 1:
        raise ExportError(f"an answer takes {len(seen)} calls of the model, not one")
    inputs, named, outputs = seen[0]
    values = list(outputs.values()) if isinstance(outputs, dict) else [outputs]
    if named or not all(isinstance(value, torch.Tensor) and value.ndim for value in (*inputs, *values)):
        raise ExportError("the model takes or gives something else than tensors")
    if {len(value) for value in (*inputs, *values)} != {RECORDED}:
        raise ExportError("not every input and output of the model has the batch for its first dimension")
    return Call(inputs, tuple(outputs) if isinstance(outputs, dict) else ())


def _compiled(model: nn.Module, call: Call, threads: int) -> Any:
    openvino = import_module("openvino")
    graph = _graph(openvino, model, call)
    for parameter, example in zip(graph.inputs, call.inputs, strict=True):
        parameter.get_node().set_element_type(openvino.Type(example.numpy().dtype))
        parameter.get_node().set_partial_shape(openvino.PartialShape([-1, *example.shape[1:]]))
    graph.validate_nodes_and_infer_types()
    settings = {
        "INFERENCE_PRECISION_HINT": "f32",  # else bf16 where the processor has it
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,  # else every replica on a host takes the same cores
    }
    return openvino.Core().compile_model(graph, "CPU", settings)


# Which warnings are heard is the process' affair, not the thread's: of two threads within `catch_warnings`, the one
# that leaves first has the other hear them again, and where they are errors they go off inside the recorder.
_recording = threading.Lock()


def _graph(openvino: Any, model: nn.Module, call: Call) -> Any:
    decoder = import_module("openvino.frontend.pytorch.ts_decoder").TorchScriptPythonDecoder
    record: Any = torch.jit.trace
    with _recording, warnings.catch_warnings():
        # Of shapes that Python compares: `Call.fits` holds them fixed. And of the recorder's own age.
        warnings.simplefilter("ignore")
        recorded = record(_Flat(model).eval(), call.inputs, check_trace=False)
        read = decoder(recorded)  # asked until the end of the conversion, so it has a name
        front_end = openvino.frontend.FrontEndManager().load_by_framework("pytorch")
        return front_end.convert(front_end.load(read))


def _apart(ours: Outputs, theirs: Outputs) -> str:
    """By how much the outputs differ."""
    if ours.keys() != theirs.keys() or any(ours[name].shape != theirs[name].shape for name in theirs):
        return "other names or shapes"
    return ", ".join(
        f"{name} by {float((ours[name].double() - theirs[name].double()).abs().max()):.2g}" for name in ours
    )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:300]
