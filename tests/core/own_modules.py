"""Modules of torch as a user may bring them, by the rows of ``docs/own-modules.md``."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from torch.nn.utils.parametrizations import weight_norm

from metarl.core.params import Strategy
from metarl.nn import MLP

WIDTH, CLASSES = 8, 3


class Last(nn.Module):
    """The last hidden state of a recurrent layer over four steps of two numbers."""

    def __init__(self, kind: type[nn.RNNBase]) -> None:
        super().__init__()
        self.layer = kind(2, 5, batch_first=True)
        self.head = nn.Linear(5, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        outputs, _ = self.layer(x.reshape(-1, 4, 2))
        last: Tensor = self.head(outputs[:, -1])
        return last


class Attends(nn.Module):
    """Self-attention of three kinds, over four tokens of two numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.multihead = nn.MultiheadAttention(2, 2, batch_first=True)
        self.encoder = nn.TransformerEncoderLayer(2, 1, 4, dropout=0.0, batch_first=True)
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.reshape(-1, 4, 2)
        tokens = tokens + self.multihead(tokens, tokens, tokens, need_weights=False)[0]
        tokens = tokens + scaled_dot_product_attention(tokens, tokens, tokens)
        logits: Tensor = self.head(self.encoder(tokens).flatten(1))
        return logits


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.second.weight = self.first.weight
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(torch.tanh(self.second(torch.tanh(self.first(x)))))
        return logits


class Fold(nn.Module):
    """Control flow on values."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(WIDTH, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.linear(x)
        return y if y.sum() > 0 else -y


class Centres(nn.Module):
    """Distances to centres that it learns; torch has no second derivative of ``cdist``."""

    def __init__(self) -> None:
        super().__init__()
        self.centres = nn.Parameter(torch.randn(CLASSES, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        return -torch.cdist(x, self.centres)


def frozen() -> nn.Module:
    model = plain(nn.Tanh())
    model[0].requires_grad_(False)
    return model


def plain(*middle: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(WIDTH, WIDTH), *middle, nn.Linear(WIDTH, CLASSES))


def weighted() -> nn.Module:
    return nn.CrossEntropyLoss(weight=torch.tensor([0.2, 1.0, 3.0]), label_smoothing=0.1)


class Row(NamedTuple):
    """A row that works as it is."""

    name: str
    make: Callable[[], nn.Module]
    loss: Callable[[], nn.Module] = nn.CrossEntropyLoss
    training: bool = True
    strategy: Strategy = "auto"
    indices: bool = False


ROWS = [
    Row("linear layers", lambda: plain(nn.Tanh())),
    Row("networks of `metarl.nn`", lambda: MLP([WIDTH, 6, CLASSES])),
    Row(
        "convolutions",
        lambda: nn.Sequential(nn.Unflatten(1, (2, 2, 2)), nn.Conv2d(2, CLASSES, 2), nn.Flatten()),
    ),
    Row("batch norm, training mode", lambda: plain(nn.BatchNorm1d(WIDTH))),
    Row("batch norm, evaluation mode", lambda: plain(nn.BatchNorm1d(WIDTH)), training=False),
    Row(
        "batch norm without running statistics",
        lambda: plain(nn.BatchNorm1d(WIDTH, track_running_stats=False)),
    ),
    Row(
        "layer, group and instance norm",
        lambda: plain(
            nn.LayerNorm(WIDTH),
            nn.GroupNorm(2, WIDTH),
            nn.Unflatten(1, (2, 4)),
            nn.InstanceNorm1d(2, affine=True),
            nn.Flatten(),
        ),
    ),
    Row("dropout", lambda: plain(nn.Dropout(0.5)), training=False),
    Row("recurrent", lambda: nn.Sequential(Last(nn.GRU), nn.Tanh())),
    Row("recurrent", lambda: Last(nn.LSTM)),
    Row("recurrent", lambda: Last(nn.RNN)),
    Row("attention, training mode", Attends),
    Row("attention, evaluation mode", Attends, training=False),
    Row(
        "embedding layers",
        lambda: nn.Sequential(nn.Embedding(9, 2), nn.Flatten(), nn.Linear(2 * WIDTH, CLASSES)),
        indices=True,
    ),
    Row("tied weights", Tied),
    Row("frozen weights", frozen),
    Row("control flow on values", Fold),
    Row(
        "weight norm",
        lambda: nn.Sequential(weight_norm(nn.Linear(WIDTH, 4)), nn.Tanh(), nn.Linear(4, CLASSES)),
        strategy="loop",
    ),
    Row("a loss that `vmap` refuses", lambda: plain(nn.Tanh()), loss=weighted),
]
