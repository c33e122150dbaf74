"""Heads: `WaypointDecoder`, and the auxiliary ones that are built only when asked for.

Shapes: B batch, F = n_features, T waypoints, K classes. Chitta et al., TransFuser, PAMI 2022.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

HIDDEN = 64


class WaypointDecoder(nn.Module):
    """Fused features -> waypoints, one after the other by a GRU that is told the target point at every step."""

    def __init__(self, n_features: int, waypoints: int, mode: Literal["concat", "add"]) -> None:
        super().__init__()
        self.waypoints = waypoints
        self.concat = mode == "concat"
        self.join = nn.Sequential(
            nn.Linear(n_features, 256),
            nn.ReLU(),
            nn.Linear(256, 128),
            nn.ReLU(),
            nn.Linear(128, HIDDEN),
            nn.ReLU(),
        )
        self.decoder = nn.GRUCell(4 if self.concat else 2, HIDDEN)
        self.output = nn.Linear(HIDDEN, 2)

    def forward(self, fused: torch.Tensor, target_point: torch.Tensor) -> torch.Tensor:
        """(B, F) and (B, 2) metres -> (B, T, 2) metres, from the origin. Computed in float32, under autocast too."""
        with torch.autocast("cpu" if fused.is_meta else fused.device.type, enabled=False):  # meta: to count
            hidden, target_point = self.join(fused.float()), target_point.float()
            point = torch.zeros_like(target_point)
            points = []
            for _ in range(self.waypoints):
                told = torch.cat([point, target_point], dim=1) if self.concat else point + target_point
                hidden = self.decoder(told, hidden)
                point = point + self.output(hidden)
                points.append(point)
            return torch.stack(points, dim=1)


class ImageDecoder(nn.Module):
    """The image's grid at stride 32 -> a map of the image's size: classes, or depth."""

    def __init__(self, n_features: int, out_channels: int) -> None:
        super().__init__()
        self.deconv1 = _convolutions(n_features, 128, 64, last_relu=True)
        self.deconv2 = _convolutions(64, 32, 32, last_relu=True)
        self.deconv3 = _convolutions(32, 32, out_channels, last_relu=False)

    def forward(self, image_grid: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """(B, F, H/32, W/32) -> (B, K, *size)."""
        x = self.deconv1(image_grid)
        x = self.deconv2(F.interpolate(x, scale_factor=8, mode="bilinear", align_corners=False))
        out: torch.Tensor = self.deconv3(F.interpolate(x, size=size, mode="bilinear", align_corners=False))
        return out


class BevDecoder(nn.Module):
    """The pyramid's finest map -> classes on the grid of the bird's-eye view."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(), nn.Conv2d(channels, classes, 1)
        )

    def forward(self, p2: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """(B, 64, h/4, w/4) -> (B, K, *size) logits."""
        return F.interpolate(self.layers(p2), size=size, mode="bilinear", align_corners=True)


def _convolutions(first: int, second: int, third: int, last_relu: bool) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.Conv2d(first, second, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(second, third, 3, padding=1),
    ]
    return nn.Sequential(*layers, nn.ReLU()) if last_relu else nn.Sequential(*layers)
