"""`FusionGPT`: attention over the tokens of both branches at once; every token sees every other.

Shapes: B batch, C channels (n_embd), (V, H) image anchors, (v, h) LiDAR anchors, T = V*H + v*h tokens,
the image's first, each map row by row. Chitta et al., TransFuser, PAMI 2022.
"""

from __future__ import annotations

import torch
from torch import nn

from fusegpt.models.fusion.config import FusionConfig
from fusegpt.nn.block import Block
from fusegpt.nn.norm import norm


class FusionGPT(nn.Module):
    """Two maps of equal channels in, two maps of the same shapes out."""

    def __init__(self, n_embd: int, n_head: int, config: FusionConfig) -> None:
        super().__init__()
        self.image_anchors, self.lidar_anchors = config.image_anchors, config.lidar_anchors
        self.legacy_token_layout = config.legacy_token_layout
        self.pos_emb = nn.Parameter(torch.zeros(1, token_count(config), n_embd))
        self.vel_emb = nn.Linear(1, n_embd) if config.velocity else None
        self.drop = nn.Dropout(config.embd_pdrop)
        self.blocks = nn.Sequential(*(_block(n_embd, n_head, config) for _ in range(config.n_layer)))
        self.ln_f = norm(config.norm, n_embd)
        self.apply(init_weights)

    def forward(
        self, image: torch.Tensor, lidar: torch.Tensor, speed_mps: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, C, V, H), (B, C, v, h) and (B, 1) -> two maps of the same shapes."""
        # (B, C, V, H) -> (B, V*H, C)
        x = torch.cat([image.flatten(2).transpose(1, 2), lidar.flatten(2).transpose(1, 2)], dim=1) + self.pos_emb
        if self.vel_emb is not None:
            x = x + self.vel_emb(speed_mps).unsqueeze(1)
        x = self.ln_f(self.blocks(self.drop(x)))
        n_image = self.image_anchors[0] * self.image_anchors[1]
        return self._map(x[:, :n_image], self.image_anchors), self._map(x[:, n_image:], self.lidar_anchors)

    def _map(self, tokens: torch.Tensor, anchors: tuple[int, int]) -> torch.Tensor:
        """(B, V*H, C) -> (B, C, V, H)."""
        B, _, C = tokens.shape
        if self.legacy_token_layout:
            # The PAMI 2022 code forgot to bring the channels forward; its published weights were trained that way.
            return tokens.reshape(B, C, *anchors)
        return tokens.transpose(1, 2).reshape(B, C, *anchors)


def token_count(config: FusionConfig) -> int:
    """T: the tokens of both branches together."""
    (V, H), (v, h) = config.image_anchors, config.lidar_anchors
    return V * H + v * h


def init_weights(module: nn.Module) -> None:
    """Linear weights from N(0, 0.02), biases 0; norms keep their 1 and 0."""
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, mean=0.0, std=0.02)
        nn.init.zeros_(module.bias)


def _block(n_embd: int, n_head: int, config: FusionConfig) -> Block:
    return Block(
        n_embd,
        n_head,
        block_exp=config.block_exp,
        attn_pdrop=config.attn_pdrop,
        resid_pdrop=config.resid_pdrop,
        activation=config.activation,
        norm_name=config.norm,
        kernel=config.attention,
    )
