"""Networks for image classification by name: `small-cnn`, and every architecture of timm."""

from __future__ import annotations

import difflib

import torch
from torch import Tensor, nn

from bramble_workloads.errors import SpecError

SMALL_CNN = "small-cnn"
WIDTHS = (16, 32, 64)
SUGGESTIONS = 5


class SmallCnn(nn.Module):
    """Three blocks of convolution, normalisation and pooling, then a linear head; about 30,000 weights with 10 classes.

    Input float32 [N, channels, H, W] with H and W of at least 8; output logits [N, classes].
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in zip((channels, *WIDTHS[:-1]), WIDTHS, strict=True):
            layers += [
                nn.Conv2d(before, after, 3, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(inplace=True),
                nn.MaxPool2d(2),
            ]
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(WIDTHS[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the logits."""
        logits: Tensor = self.head(torch.flatten(self.pool(self.features(x)), 1))
        return logits


def build(architecture: str, channels: int, classes: int) -> nn.Module:
    """Make a network with random weights from torch's own generator, so that the same seed gives the same weights.

    Raises:
        SpecError: there is no such architecture; the message names similar ones.
    """
    if architecture == SMALL_CNN:
        return SmallCnn(channels, classes)
    import timm

    if not timm.is_model(architecture):
        near = difflib.get_close_matches(architecture, timm.list_models(), SUGGESTIONS) or timm.list_models("*lite0*")
        known = f"{SMALL_CNN}, or one of timm's such as {', '.join(near)}"
        raise SpecError(f"trainer.builtin.architecture {architecture!r} is not known: there are {known}")
    network: nn.Module = timm.create_model(architecture, pretrained=False, num_classes=classes, in_chans=channels)
    return network
