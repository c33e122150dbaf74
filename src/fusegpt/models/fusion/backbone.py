"""`FusionBackbone`: both encoders, joined after the chosen stages; `Neck` and `Pyramid`: what is made of the last maps.

Shapes: B batch, C channels of a branch at a stage, (H, W) its map there, F = n_features.
Chitta et al., TransFuser, PAMI 2022; projections between branches as in Jaeger et al., ICCV 2023.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from fusegpt.models.fusion.config import FusionConfig
from fusegpt.models.fusion.encoders import STAGES, ImageCNN, LidarEncoder
from fusegpt.models.fusion.gpt import FusionGPT


class StageFusion(nn.Module):
    """Pools both maps to anchors, lets a GPT look at both, and adds what it says to each map."""

    def __init__(self, width: int, n_head: int, image_channels: int, lidar_channels: int, config: FusionConfig) -> None:
        super().__init__()
        self.image_anchors, self.lidar_anchors = config.image_anchors, config.lidar_anchors
        always = config.n_embd == "match" and config.channel_projections == "always"
        self.image_in, self.image_out = _project(image_channels, width), _project(width, image_channels)
        self.lidar_in = _project(lidar_channels, width, always)
        self.lidar_out = _project(width, lidar_channels, always)
        self.gpt = FusionGPT(width, n_head, config)

    def forward(
        self, image: torch.Tensor, lidar: torch.Tensor, speed_mps: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Two maps (B, C, H, W), of any sizes -> the same two maps, each with what both say added."""
        image_said, lidar_said = self.gpt(
            self.image_in(_pool(image, self.image_anchors)),
            self.lidar_in(_pool(lidar, self.lidar_anchors)),
            speed_mps,
        )
        return (
            image + resize(self.image_out(image_said), image.shape[-2:]),
            lidar + resize(self.lidar_out(lidar_said), lidar.shape[-2:]),
        )


class FusionBackbone(nn.Module):
    """Image and bird's-eye view -> the last map of each branch, at stride 32."""

    def __init__(self, config: FusionConfig) -> None:
        super().__init__()
        self.image_encoder = ImageCNN(
            config.image_encoder, config.image_channels, config.normalization, pretrained=config.pretrained
        )
        self.lidar_encoder = LidarEncoder(config.lidar_encoder, config.lidar_channels)
        self.fusions = nn.ModuleDict()
        if config.fusion == "late":
            return
        for stage, width, n_head in zip(config.stages, config.widths(), config.heads, strict=True):
            image_channels, lidar_channels = (
                self.image_encoder.channels[stage - 1],
                self.lidar_encoder.channels[stage - 1],
            )
            self.fusions[str(stage)] = StageFusion(width, n_head, image_channels, lidar_channels, config)

    def forward(
        self, image: torch.Tensor, lidar: torch.Tensor, speed_mps: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, C, H, W) 0..255, (B, c, h, w) 0..1, (B, 1) -> (B, C4, H/32, W/32), (B, c4, h/32, w/32)."""
        image = self.image_encoder.normalize(image)
        for stage in range(1, STAGES + 1):
            image = self.image_encoder.stage(stage, image)
            lidar = self.lidar_encoder.stage(stage, lidar)
            if str(stage) in self.fusions:
                image, lidar = self.fusions[str(stage)](image, lidar, speed_mps)
        return image, lidar


class Neck(nn.Module):
    """Both last maps to F channels, pooled and summed: the fused features."""

    def __init__(self, image_channels: int, lidar_channels: int, n_features: int) -> None:
        super().__init__()
        self.image = _project(image_channels, n_features)
        self.lidar = _project(lidar_channels, n_features)

    def forward(self, image: torch.Tensor, lidar: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Two last maps -> fused (B, F), the image's grid (B, F, H, W), the LiDAR's (B, F, h, w)."""
        image_grid, lidar_grid = self.image(image), self.lidar(lidar)
        return image_grid.mean((2, 3)) + lidar_grid.mean((2, 3)), image_grid, lidar_grid


class Pyramid(nn.Module):
    """Top-down features of the bird's-eye view for the heads that look at it, p5 to p2, each twice the one before."""

    channels = 64

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.c5_conv = nn.Conv2d(n_features, self.channels, 1)
        self.up_conv5 = nn.Conv2d(self.channels, self.channels, 1)
        self.up_conv4 = nn.Conv2d(self.channels, self.channels, 1)
        self.up_conv3 = nn.Conv2d(self.channels, self.channels, 1)

    def forward(self, lidar_grid: torch.Tensor) -> dict[str, torch.Tensor]:
        """(B, F, h, w) -> p5 (B, 64, h, w), p4, p3, p2 (B, 64, 8h, 8w)."""
        p5 = F.relu(self.c5_conv(lidar_grid))
        p4 = F.relu(self.up_conv5(_double(p5)))
        p3 = F.relu(self.up_conv4(_double(p4)))
        p2 = F.relu(self.up_conv3(_double(p3)))
        return {"p5": p5, "p4": p4, "p3": p3, "p2": p2}


def resize(x: torch.Tensor, size: torch.Size | tuple[int, ...]) -> torch.Tensor:
    """Bilinear to (H, W); what has the size already stays as it is."""
    if x.shape[-2:] == size:
        return x
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=False)


def _double(x: torch.Tensor) -> torch.Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def _pool(x: torch.Tensor, anchors: tuple[int, int]) -> torch.Tensor:
    return x if x.shape[-2:] == anchors else F.adaptive_avg_pool2d(x, anchors)


def _project(channels: int, to: int, always: bool = False) -> nn.Module:
    return nn.Conv2d(channels, to, 1) if always or channels != to else nn.Identity()
