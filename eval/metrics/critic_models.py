"""The networks of the critics. `guide` is a plain convolutional net, `judge` a small residual one.

Both: (N, 4, S, S) planes, S any multiple of 4 → (N, FEATURES) features → heads for category, zone, zone with scrambled
hues and quality. Sizes meet in a 4×4 map, so that one network serves all of them.
Sources: K. Simonyan and A. Zisserman, 'Very deep convolutional networks' (2015), with batch normalisation;
K. He, X. Zhang, S. Ren and J. Sun, 'Identity mappings in deep residual networks' (2016).
"""

import torch
from torch import nn
from torch.nn import functional as F

FEATURES = 64
PLANES = 4  # alpha and OKLab
_MAP = 4


class Heads(nn.Module):
    """Features and the four answers, from a (N, C, h, w) map."""

    def __init__(self, channels: int, categories: int, zones: int):
        super().__init__()
        self.squeeze = nn.Linear(channels * _MAP * _MAP, FEATURES)
        self.category, self.zone, self.zone_scrambled = (nn.Linear(FEATURES, max(1, n)) for n in (categories, zones, zones))
        self.quality = nn.Linear(FEATURES, 1)

    def forward(self, trunk: torch.Tensor) -> dict[str, torch.Tensor]:
        pooled = F.adaptive_avg_pool2d(trunk, _MAP).flatten(1)
        features = F.gelu(self.squeeze(F.dropout(pooled, 0.2, self.training)))
        heads = {name: getattr(self, name)(features) for name in ("category", "zone", "zone_scrambled")}
        return {"features": features, "quality": self.quality(features)[:, 0], **heads}


def _conv(inside: int, outside: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inside, outside, 3, padding=1, bias=False), nn.BatchNorm2d(outside), nn.ReLU())


class Plain(nn.Module):
    """Three stages of two 3×3 convolutions each, halved by pooling between them."""

    def __init__(self, categories: int, zones: int, widths: tuple[int, int, int] = (24, 48, 96)):
        super().__init__()
        a, b, c = widths
        self.trunk = nn.Sequential(
            *(_conv(PLANES, a), _conv(a, a), nn.MaxPool2d(2)),
            *(_conv(a, b), _conv(b, b), nn.MaxPool2d(2)),
            *(_conv(b, c), _conv(c, c)),
        )
        self.heads = Heads(c, categories, zones)

    def forward(self, planes: torch.Tensor) -> dict[str, torch.Tensor]:
        return self.heads(self.trunk(planes))


class _Block(nn.Module):
    """Pre-activation residual block; `stride` 2 halves the map."""

    def __init__(self, inside: int, outside: int, stride: int = 1):
        super().__init__()
        self.before, self.between = nn.BatchNorm2d(inside), nn.BatchNorm2d(outside)
        self.first = nn.Conv2d(inside, outside, 3, stride=stride, padding=1, bias=False)
        self.second = nn.Conv2d(outside, outside, 3, padding=1, bias=False)
        self.past = nn.Conv2d(inside, outside, stride, stride=stride, bias=False) if inside != outside else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        ready = F.silu(self.before(x))
        past = x if isinstance(self.past, nn.Identity) else self.past(ready)
        return past + self.second(F.silu(self.between(self.first(ready))))


class Residual(nn.Module):
    """One block at full size, two at half, one at a quarter."""

    def __init__(self, categories: int, zones: int, widths: tuple[int, int, int] = (32, 64, 96)):
        super().__init__()
        a, b, c = widths
        self.trunk = nn.Sequential(
            nn.Conv2d(PLANES, a, 3, padding=1, bias=False), _Block(a, a), _Block(a, b, 2), _Block(b, b), _Block(b, c, 2),
            nn.BatchNorm2d(c), nn.SiLU(),
        )  # fmt: skip
        self.heads = Heads(c, categories, zones)

    def forward(self, planes: torch.Tensor) -> dict[str, torch.Tensor]:
        return self.heads(self.trunk(planes))


NETWORKS = {"guide": Plain, "judge": Residual}
