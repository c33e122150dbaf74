"""`FusionModel`: image, LiDAR, speed and target point -> waypoints.

Shapes: B batch, (H, W) image, (h, w) bird's-eye view, T waypoints, F = n_features.
Frame: x forward, y left, metres. Chitta et al., TransFuser, PAMI 2022.
"""

from __future__ import annotations

import torch
from torch import nn

from fusegpt.models.fusion.backbone import FusionBackbone, Neck, Pyramid
from fusegpt.models.fusion.config import FusionConfig
from fusegpt.models.fusion.heads import BevDecoder, ImageDecoder, WaypointDecoder
from fusegpt.nn.attention import recorded_attention


class FusionModel(nn.Module):
    """The whole model. Every part that is built is used in every forward, so DDP finds no unused parameter."""

    horizons_s: torch.Tensor
    lidar_origin_m: torch.Tensor

    def __init__(self, config: FusionConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = FusionBackbone(config)
        image_channels, lidar_channels = (
            encoder.channels[-1] for encoder in (self.backbone.image_encoder, self.backbone.lidar_encoder)
        )
        self.neck = Neck(image_channels, lidar_channels, config.n_features)
        self.vel_emb = nn.Linear(1, config.n_features) if config.fusion == "late" and config.velocity else None
        self.waypoints = WaypointDecoder(config.n_features, config.waypoints, config.decoder)
        self.pyramid = Pyramid(config.n_features) if "bev_semantics" in config.auxiliary else None
        self.auxiliary = nn.ModuleDict({name: _auxiliary(name, config) for name in config.auxiliary})
        horizons = torch.arange(1, config.waypoints + 1) * config.waypoint_interval_s
        self.register_buffer("horizons_s", horizons, persistent=False)
        self.register_buffer("lidar_origin_m", torch.tensor([config.lidar_x_m, 0.0]), persistent=False)

    def forward(
        self, image: torch.Tensor, lidar: torch.Tensor, speed_mps: torch.Tensor, target_point: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """image (B, C, H, W) 0..255, lidar (B, c, h, w) 0..1, speed_mps (B, 1), target_point (B, 2) in metres.

        -> "waypoints" (B, T, 2) float32 in metres, and the auxiliary outputs that were asked for: "bev_semantics"
        (B, K, h, w) and "semantics" (B, K, H, W) logits, "depth" (B, H, W) as a share of max_depth_m.
        """
        if self.config.fusion == "latent":
            lidar = with_coordinates(lidar)
        fused, image_grid, lidar_grid = self.neck(*self.backbone(image, lidar, speed_mps))
        if self.vel_emb is not None:
            fused = fused + self.vel_emb(speed_mps)
        outputs = {"waypoints": self.decode(fused, speed_mps, target_point)}
        for name, head in self.auxiliary.items():
            if self.pyramid is not None and name == "bev_semantics":
                outputs[name] = head(self.pyramid(lidar_grid)["p2"], lidar.shape[-2:])
            else:
                map_ = head(image_grid, image.shape[-2:])
                outputs[name] = map_.sigmoid().squeeze(1) if name == "depth" else map_
        return outputs

    @torch.no_grad()
    def attention_maps(
        self, image: torch.Tensor, lidar: torch.Tensor, speed_mps: torch.Tensor, target_point: torch.Tensor
    ) -> list[torch.Tensor]:
        """The attention of the GPT after each of `stages`, without dropout: a list of (B, n_layer, n_head, T, T)."""
        training = self.training
        self.eval()
        try:
            with recorded_attention(self) as maps:
                self(image, lidar, speed_mps, target_point)
        finally:
            self.train(training)
        n_layer = self.config.n_layer
        return [torch.stack(maps[i : i + n_layer], dim=1) for i in range(0, len(maps), n_layer)]

    def decode(self, fused: torch.Tensor, speed_mps: torch.Tensor, target_point: torch.Tensor) -> torch.Tensor:
        """Fused features (B, F), speed (B, 1), target point (B, 2) -> waypoints (B, T, 2) float32."""
        waypoints: torch.Tensor = self.waypoints(fused, target_point)
        if self.config.waypoint_prior == "constant_velocity":
            x = speed_mps.float() * self.horizons_s  # (B, 1) * (T,) -> (B, T)
            waypoints = waypoints + torch.stack([x, torch.zeros_like(x)], dim=-1)
        return waypoints - self.lidar_origin_m


def with_coordinates(lidar: torch.Tensor) -> torch.Tensor:
    """(B, c, h, w) with its first two channels replaced by the row's and the column's position, each -1 to 1."""
    h, w = lidar.shape[-2:]
    row = torch.linspace(-1, 1, h, device=lidar.device, dtype=lidar.dtype)
    column = torch.linspace(-1, 1, w, device=lidar.device, dtype=lidar.dtype)
    grid = torch.stack(torch.meshgrid(row, column, indexing="ij")).expand(lidar.shape[0], -1, -1, -1)
    return torch.cat([grid, lidar[:, 2:]], dim=1)


def _auxiliary(name: str, config: FusionConfig) -> nn.Module:
    if name == "bev_semantics":
        return BevDecoder(Pyramid.channels, config.bev_classes)
    return ImageDecoder(config.n_features, 1 if name == "depth" else config.semantics_classes)
