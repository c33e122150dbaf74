"""`ImageCNN` and `LidarEncoder`: any timm feature backbone of four stages, run stage by stage.

Shapes: (B, C, H, W) in; stage 1 to 4 at strides 4, 8, 16, 32.
"""

from __future__ import annotations

from functools import cache
from itertools import cycle, islice
from typing import Any

import timm
import torch
from torch import nn

from fusegpt.config import SettingError, closest

STAGES = 4
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class StagedEncoder(nn.Module):
    """A timm feature backbone without its classifier. `channels`: those of the output of each stage.

    `setting` is the dotted key that named the backbone, for error messages.
    """

    def __init__(self, name: str, in_channels: int, setting: str, *, pretrained: bool = False) -> None:
        super().__init__()
        self.channels = stage_channels(name, setting)
        self.net = _create(name, in_channels, setting, pretrained)
        self._segments = _segments(self.net)

    def stage(self, number: int, x: torch.Tensor) -> torch.Tensor:
        """Stage `number` (1 to 4); the first includes the stem."""
        for name in self._segments[number - 1]:
            x = self.net[name](x)
        return x


class ImageCNN(StagedEncoder):
    """The image branch; normalises by itself, so that what goes in is 0..255."""

    scale: torch.Tensor
    shift: torch.Tensor

    def __init__(self, name: str, in_channels: int, normalization: str, *, pretrained: bool = False) -> None:
        super().__init__(name, in_channels, "model.image_encoder", pretrained=pretrained)
        scale, shift = _affine(in_channels, normalization)
        self.register_buffer("scale", scale, persistent=False)
        self.register_buffer("shift", shift, persistent=False)

    def normalize(self, image: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) uint8 or float 0..255 -> float32."""
        return image.float() * self.scale + self.shift


class LidarEncoder(StagedEncoder):
    """The branch of the bird's-eye view, always from random weights: nothing is published for it."""

    def __init__(self, name: str, in_channels: int) -> None:
        super().__init__(name, in_channels, "model.lidar_encoder")


@cache
def stage_channels(name: str, setting: str) -> tuple[int, ...]:
    """The channels of the four stages, without making weights. Raises SettingError."""
    with torch.device("meta"):
        net = _create(name, 3, setting, pretrained=False)
    return tuple(net.feature_info.channels()[-STAGES:])


def _create(name: str, in_channels: int, setting: str, pretrained: bool) -> Any:
    """The timm feature backbone, with every failure told as a wrong setting."""
    if not timm.is_model(name):
        raise SettingError(f"{setting}: timm knows no model {name!r}{closest(name, timm.list_models())}")
    if pretrained and not timm.models.is_model_pretrained(name):
        raise SettingError(f"model.pretrained: timm publishes no weights for {setting} = {name}; set it to false")
    try:
        net = timm.create_model(name, features_only=True, in_chans=in_channels, pretrained=pretrained)
    except Exception as error:
        # timm and the hub's client raise anything from RuntimeError to their HTTP library's own errors.
        if pretrained:
            raise SettingError(
                f"model.pretrained: the weights of {name} could not be had ({type(error).__name__}: {error}); fetch "
                "them once on a machine with a network, or set it to false"
            ) from error
        raise SettingError(f"{setting}: {name} cannot be used as a feature backbone: {error}") from error
    # FeatureListNet is a ModuleDict: it can be run module by module. The wrappers that hook a whole model cannot.
    steps = isinstance(net, nn.ModuleDict)
    if not steps or len(net.feature_info.channels()) < STAGES:
        raise SettingError(f"{setting}: {name} cannot be run in {STAGES} stages; resnet18 or regnety_002 can")
    return net


def _segments(net: Any) -> list[list[str]]:
    """The names of the modules of each stage; the first stage takes all that comes before it, too."""
    ends = list(net.return_layers)[-STAGES:]
    segments: list[list[str]] = [[]]
    for name in net:
        segments[-1].append(name)
        if name in ends and name != ends[-1]:
            segments.append([])
    return segments


def _affine(channels: int, normalization: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Normalisation as one multiplication and one addition, each (C, 1, 1).

    One channel takes the mean of the three statistics, more channels repeat them, as timm does with its first weights.
    """
    if normalization == "unit":
        mean, std = [0.0] * channels, [1.0] * channels
    elif channels == 1:
        mean, std = [sum(IMAGENET_MEAN) / 3], [sum(IMAGENET_STD) / 3]
    else:
        mean, std = list(islice(cycle(IMAGENET_MEAN), channels)), list(islice(cycle(IMAGENET_STD), channels))
    full = 1.0 if normalization == "cvpr2021" else 255.0
    m, s = torch.tensor(mean, dtype=torch.float64), torch.tensor(std, dtype=torch.float64)
    return (1 / (full * s)).float().view(-1, 1, 1), (-m / s).float().view(-1, 1, 1)
