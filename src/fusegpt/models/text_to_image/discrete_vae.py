"""`DiscreteVae`: a picture as a grid of codes, and back.

Shapes: B batch, (H, W) pixels, (h, w) grid of codes, K codes, C channels (vae_channels).
Ramesh et al., Zero-Shot Text-to-Image Generation, 2021; Jang et al., Categorical Reparameterization with
Gumbel-Softmax, 2017.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from fusegpt.models.text_to_image.config import TextToImageConfig

# How far the codes' logits lie apart at first: nearly all codes are in use, and each is told from the others.
SPREAD = 4.0


class DiscreteVae(nn.Module):
    """Pictures are float32, 0 where nothing is drawn, to 1.

    The encoder looks at each patch by itself, so a patch has one code wherever and beside whatever it lies: that leaves
    the least to tell. The decoder looks at the patches around too.
    """

    def __init__(self, config: TextToImageConfig) -> None:
        super().__init__()
        self.codes, self.temperature = config.codes, config.gumbel_temperature
        C, patch = config.vae_channels, config.patch_px
        self.encoder = nn.Sequential(
            nn.Conv2d(3, C, patch, stride=patch), nn.ReLU(), nn.Conv2d(C, C, 1), nn.ReLU(), nn.Conv2d(C, self.codes, 1)
        )
        # No code may win everywhere or nowhere: without this norm, one takes all the pictures within a few steps.
        self.spread = nn.BatchNorm2d(self.codes)
        nn.init.constant_(self.spread.weight, SPREAD)
        blocks = (_Residual(C) for _ in range(config.vae_blocks))
        self.decoder = nn.Sequential(nn.Conv2d(self.codes, C, 1), *blocks, *_enlarging(C, patch))

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, 3, H, W) -> the picture through codes drawn softly (B, 3, H, W), and the codes' logits (B, K, h, w)."""
        logits = self.spread(self.encoder(pixels))
        drawn = F.gumbel_softmax(logits.float(), self.temperature, dim=1)
        return self.decoder(drawn), logits

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) -> the likeliest codes, (B, h, w) int64: by the running statistics, in training too."""
        norm = self.spread
        told = self.encoder(pixels).float()
        return F.batch_norm(told, norm.running_mean, norm.running_var, norm.weight, norm.bias).argmax(1)

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        """(B, h, w) int64 -> (B, 3, H, W)."""
        one_hot = F.one_hot(codes, self.codes).movedim(-1, 1)  # (B, h, w) -> (B, K, h, w)
        pixels: torch.Tensor = self.decoder(one_hot.float())
        return pixels


def divergence(logits: torch.Tensor) -> torch.Tensor:
    """KL of the codes' distributions from the uniform, in nats a code: (B, K, h, w) -> (B,)."""
    log_q = logits.float().log_softmax(1)
    kl = (log_q.exp() * log_q).sum(1) + math.log(logits.shape[1])  # (B, h, w)
    return kl.flatten(1).mean(1)


class _Residual(nn.Module):
    """(B, C, h, w) -> the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(), nn.Conv2d(channels, channels, 1)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = x + self.net(x)
        return y


def _enlarging(channels: int, patch_px: int) -> list[nn.Module]:
    """(B, C, h, w) -> (B, 3, H, W), each time to twice the size and half the channels."""
    widths = [max(4, channels >> step) for step in range(int(math.log2(patch_px)))] + [3]
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.ReLU(), nn.ConvTranspose2d(before, after, 4, stride=2, padding=1)]
    return layers
