"""A model that is made ready to answer says the same as before."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from fusegpt.models.fusion.encoders import ImageCNN
from fusegpt.nn.folding import Outputs, ready_to_answer


class Net(nn.Module):
    """A convolution, a batch norm, and whatever a test puts around them."""

    def __init__(self, *, twice: bool = False) -> None:
        super().__init__()
        self.conv, self.norm, self.twice = nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), twice

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made = self.conv(x)
        normed: torch.Tensor = self.norm(made)
        return normed + made if self.twice else normed


def trained(model: nn.Module, seed: int = 0) -> nn.Module:
    """With statistics and weights that are not what they are at the start."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
                assert tensor is not None
                tensor.data = torch.rand(tensor.shape, generator=generator) + 0.5
    return model.eval()


def run_on(image: torch.Tensor, model: nn.Module) -> Outputs:
    return {"out": model(image)}


def norms(model: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())


@pytest.mark.parametrize("name", ["regnety_002", "resnet18", "convnext_atto"])
def test_a_backbone_keeps_its_features_and_loses_its_batch_norms(name: str) -> None:
    encoder = trained(ImageCNN(name, 3, "imagenet"))
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))

    def run(model: nn.Module) -> Outputs:
        features = image
        for stage in range(1, 5):
            assert isinstance(model, ImageCNN)
            features = model.stage(stage, features)
        return {"out": features}

    made = ready_to_answer(encoder, run)
    assert made is not encoder
    assert norms(made) == 0
    with torch.inference_mode():
        torch.testing.assert_close(run(made)["out"], run(encoder)["out"], rtol=1e-4, atol=1e-4)


def test_the_model_that_it_is_made_of_stays_as_it_was() -> None:
    net = trained(Net())
    before = copy.deepcopy(net.state_dict())
    ready_to_answer(net, lambda model: run_on(torch.rand(1, 3, 8, 8), model))
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_where_folding_would_change_an_answer_nothing_is_folded() -> None:
    net = trained(Net(twice=True))
    assert ready_to_answer(net, lambda model: run_on(torch.rand(1, 3, 8, 8), model)) is net


def test_a_norm_without_statistics_of_its_own_is_left_alone() -> None:
    net = Net()
    net.norm = nn.BatchNorm2d(4, track_running_stats=False)
    made = ready_to_answer(net.eval(), lambda model: run_on(torch.rand(1, 3, 8, 8), model))
    assert norms(made) == 1


def test_a_model_without_convolutions_is_left_alone_and_not_even_run() -> None:
    def never(_: nn.Module) -> Outputs:
        raise AssertionError("run")

    net = nn.Linear(2, 2)
    assert ready_to_answer(net, never) is net
