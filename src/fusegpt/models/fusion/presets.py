"""`PRESETS`: the sizes of the four published members of the family, under which their weights can be loaded.

Each is a function, so that importing this builds nothing. The waypoint head is the GRU everywhere; of carla_garage and
NAVSIM, whose heads are other ones, the preset has the encoders and the GPTs.
"""

from __future__ import annotations

from collections.abc import Callable

from fusegpt.models.fusion.config import FusionConfig


def cvpr2021() -> FusionConfig:
    """Prakash et al., Multi-Modal Fusion Transformer for End-to-End Autonomous Driving, CVPR 2021."""
    return FusionConfig(
        image_encoder="resnet34",
        lidar_encoder="resnet18",
        normalization="cvpr2021",
        image_anchors=(8, 8),
        lidar_anchors=(8, 8),
        n_embd="match",
        n_head=4,
        n_layer=8,
        decoder="add",
    )


def pami2022() -> FusionConfig:
    """Chitta et al., TransFuser, PAMI 2022, as published: four layers, no velocity, the scrambled token layout."""
    return FusionConfig(
        image_encoder="regnety_032",
        lidar_encoder="regnety_032",
        lidar_channels=3,
        image_anchors=(5, 22),
        lidar_anchors=(8, 8),
        n_embd="match",
        n_head=4,
        n_layer=4,
        velocity=False,
        legacy_token_layout=True,
        lidar_x_m=1.3,
        auxiliary=("bev_semantics", "depth", "semantics"),
    )


def carla_garage() -> FusionConfig:
    """Jaeger et al., Hidden Biases of End-to-End Driving Models, ICCV 2023 (TransFuser++)."""
    return FusionConfig(
        image_encoder="regnety_032",
        lidar_encoder="regnety_032",
        lidar_channels=1,
        image_anchors=(8, 32),
        lidar_anchors=(8, 8),
        n_embd="match",
        n_head=4,
        n_layer=2,
        velocity=False,
        channel_projections="always",
        waypoints=8,
        waypoint_interval_s=0.25,
    )


def navsim() -> FusionConfig:
    """Dauner et al., NAVSIM, NeurIPS 2024: its TransFuser agent."""
    return FusionConfig(
        image_encoder="resnet34",
        lidar_encoder="resnet34",
        normalization="unit",
        lidar_channels=1,
        image_anchors=(8, 32),
        lidar_anchors=(8, 8),
        n_embd="match",
        n_head=4,
        n_layer=2,
        velocity=False,
        channel_projections="always",
        waypoints=8,
    )


PRESETS: dict[str, Callable[[], FusionConfig]] = {
    "cvpr2021": cvpr2021,
    "pami2022": pami2022,
    "carla_garage": carla_garage,
    "navsim": navsim,
}
