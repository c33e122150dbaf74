"""`VisionTransformer`: patches of a picture and one class token, all looking at each other.

Shapes: B batch, c image channels, (H, W) pixels, (h, w) patches, T = 1 + h * w tokens, C channels (n_embd), K classes.
Dosovitskiy et al., An Image is Worth 16x16 Words, 2021.
"""

from __future__ import annotations

import torch
from torch import nn

from fusegpt.config import SettingError
from fusegpt.models.vision_transformer.config import VisionTransformerConfig
from fusegpt.nn.block import Block
from fusegpt.nn.norm import norm
from fusegpt.nn.positions import resized_grid

EPS = 1e-6  # of the paper's code and of timm, where PyTorch's own is 1e-5


class VisionTransformer(nn.Module):
    """Learns positions for one size of picture, and interpolates them for another."""

    def __init__(self, config: VisionTransformerConfig, image_px: int, classes: int) -> None:
        super().__init__()
        if image_px % config.patch_px:
            raise SettingError(
                f"model.patch_px: pictures of {image_px} pixels are no whole number of patches of {config.patch_px}"
            )
        self.grid = (image_px // config.patch_px, image_px // config.patch_px)
        n_embd, patch = config.n_embd, config.patch_px
        self.patches = nn.Conv2d(config.image_channels, n_embd, patch, stride=patch)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, n_embd))
        self.pos_emb = nn.Parameter(torch.zeros(1, 1 + self.grid[0] * self.grid[1], n_embd))
        self.drop = nn.Dropout(config.embd_pdrop)
        self.blocks = nn.Sequential(*(_block(config) for _ in range(config.n_layer)))
        self.ln_f = norm(config.norm, n_embd)
        self.head = nn.Linear(n_embd, classes)
        self.apply(_init_weights)
        nn.init.trunc_normal_(self.pos_emb, std=0.02)
        nn.init.normal_(self.cls_token, std=1e-6)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(B, c, H, W) uint8 -> logits (B, K). H and W: whole numbers of patches, not only those learnt with."""
        return self.classify(image.float() / 127.5 - 1)  # 0..255 -> -1..1

    def classify(self, pixels: torch.Tensor) -> torch.Tensor:
        """(B, c, H, W) float32, already normalised -> logits (B, K)."""
        tokens = self.patches(pixels)  # (B, C, h, w)
        h, w = tokens.shape[-2:]
        tokens = tokens.flatten(2).transpose(1, 2)  # (B, C, h, w) -> (B, h*w, C)
        x = torch.cat([self.cls_token.expand(tokens.shape[0], -1, -1), tokens], dim=1)
        x = self.blocks(self.drop(x + self.positions((h, w))))
        logits: torch.Tensor = self.head(self.ln_f(x)[:, 0])
        return logits

    def positions(self, grid: tuple[int, int]) -> torch.Tensor:
        """(1, 1 + h*w, C) for a grid of patches: the class token's as it is, the patches' interpolated."""
        return torch.cat([self.pos_emb[:, :1], resized_grid(self.pos_emb[:, 1:], self.grid, grid)], dim=1)


def _init_weights(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.LayerNorm):
        module.eps = EPS


def _block(config: VisionTransformerConfig) -> Block:
    return Block(
        config.n_embd,
        config.n_head,
        block_exp=config.block_exp,
        attn_pdrop=config.attn_pdrop,
        resid_pdrop=config.resid_pdrop,
        activation="gelu",
        norm_name=config.norm,
        kernel=config.attention,
    )
