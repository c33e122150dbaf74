"""What OpenVINO runs says what the model says, for batches of any size and from any thread; else it is not used."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from fusegpt.nn.exported import Exported, ExportError, Run, exported
from fusegpt.nn.folding import Outputs

pytest.importorskip("openvino", reason="openvino is not installed")


class Net(nn.Module):
    """A convolution and whatever a test does with what it gives."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: torch.Tensor, speed: torch.Tensor) -> dict[str, torch.Tensor]:
        said = self.conv(x.float()).mean((2, 3))  # (B, 3, H, W) -> (B, 4)
        return {"said": said + speed, "likeliest": said.argmax(1)}


def drawn(model: type[nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    return model().eval()


def inputs(size: int, side: int = 8, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    image = torch.randint(0, 256, (size, 3, side, side), dtype=torch.uint8, generator=generator)
    return image, torch.rand(size, 1, generator=generator)


def run(model: nn.Module, size: int) -> Outputs:
    outputs: Outputs = model(*inputs(size))
    return outputs


def assert_same(model: nn.Module, other: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
    with torch.inference_mode():
        ours, theirs = model(*given), other(*given)
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("size", [1, 2, 5, 8])
def test_it_answers_as_the_model_for_a_batch_of_any_size(size: int) -> None:
    net = drawn(Net)
    assert_same(exported(net, run, 1), net, inputs(size, seed=size))


def test_threads_do_not_get_each_others_answers() -> None:
    net = drawn(Net)
    made = exported(net, run, 1)
    given = [inputs(2, seed=seed) for seed in range(24)]
    with torch.inference_mode():
        expected = [net(*one)["said"] for one in given]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda one: made(*one)["said"], given))
    for ours, theirs in zip(answers, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-3)


def test_graphs_made_by_several_threads_at_once_are_made() -> None:
    """The recorder warns of a shape that is compared, and a warning is an error in these tests."""

    class Comparing(Net):
        def forward(self, x: torch.Tensor, speed: torch.Tensor) -> dict[str, torch.Tensor]:
            for _ in range(50):
                speed = speed + int(x.shape[2] > 4)
            return super().forward(x, speed)

    nets = [drawn(Comparing) for _ in range(24)]
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda net: exported(net, run, 1), nets))
    assert all(isinstance(each, Exported) for each in made)


def test_an_answer_stays_what_it_was_when_the_next_is_given() -> None:
    made = exported(drawn(Net), run, 1)
    first = made(*inputs(1))["said"]
    before = first.clone()
    made(*inputs(1, seed=7))
    assert torch.equal(first, before)


def test_another_shape_or_type_than_it_was_made_of_goes_to_the_model() -> None:
    net = drawn(Net)
    made = exported(net, run, 1)
    asked: list[tuple[int, ...]] = []
    net.register_forward_pre_hook(lambda _net, given: asked.append(tuple(given[0].shape)))
    image, speed = inputs(2, side=12)
    assert_same(made, net, (image, speed))
    assert asked == [(2, 3, 12, 12)] * 2
    assert_same(made, net, (inputs(2)[0].double(), speed))
    assert len(asked) == 4
    made(*inputs(2))
    assert len(asked) == 4


def test_a_view_with_its_channels_last_is_read_as_the_model_reads_it() -> None:
    net = drawn(Net)
    image, speed = inputs(2)
    assert_same(exported(net, run, 1), net, (image.to(memory_format=torch.channels_last), speed))


class Frozen(Net):
    """Forgets that a batch may have another size."""

    def forward(self, x: torch.Tensor, speed: torch.Tensor) -> dict[str, torch.Tensor]:
        outputs = super().forward(x, speed)
        return outputs | {"said": outputs["said"] / len(x)}


class Chaotic(Net):
    """Says something else every time."""

    def forward(self, x: torch.Tensor, speed: torch.Tensor) -> dict[str, torch.Tensor]:
        return super().forward(x, speed) | {"said": torch.rand(x.shape[0], 4)}


@pytest.mark.parametrize("model", [Frozen, Chaotic])
def test_a_graph_that_answers_otherwise_is_not_used(model: type[nn.Module]) -> None:
    with pytest.raises(ExportError, match=r"at once are not those of the model: said by \d"):
        exported(drawn(model), run, 1)


def twice(model: nn.Module, size: int) -> Outputs:
    return {"said": run(model, size)["said"] + run(model, size)["said"]}


def never(_model: nn.Module, _size: int) -> Outputs:
    return {}


def by_name(model: nn.Module, size: int) -> Outputs:
    image, speed = inputs(size)
    outputs: Outputs = model(image, speed=speed)
    return outputs


def of_a_class(model: nn.Module, size: int) -> Outputs:
    assert isinstance(model, Net), "only this"
    return run(model, size)


@pytest.mark.parametrize(
    ("way", "reason"),
    [
        (twice, "an answer takes 2 calls of the model, not one"),
        (never, "an answer takes 0 calls of the model, not one"),
        (by_name, "something else than tensors"),
        (of_a_class, "AssertionError: only this"),
    ],
)
def test_why_a_model_cannot_be_run_as_a_graph_is_told(way: Run, reason: str) -> None:
    with pytest.raises(ExportError, match=reason):
        exported(drawn(Net), way, 1)


class Deaf(Net):
    """Takes a speed and does not listen."""

    def forward(self, x: torch.Tensor, _speed: torch.Tensor) -> dict[str, torch.Tensor]:
        return super().forward(x, torch.zeros(1))


def test_an_input_that_the_model_does_not_use_may_still_be_given() -> None:
    net = drawn(Deaf)
    assert_same(exported(net, run, 1), net, inputs(3))


def test_looking_at_the_model_leaves_nothing_on_it() -> None:
    net = drawn(Net)
    exported(net, run, 1)
    assert not net._forward_hooks


def test_a_model_that_gives_one_tensor_goes_on_giving_one() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 3)).eval()
    made = exported(net, lambda model, size: {"out": model(torch.ones(size, 3, 4))}, 1)
    assert isinstance(made, Exported)
    torch.testing.assert_close(made(torch.ones(5, 3, 4)), net(torch.ones(5, 3, 4)))
