"""Series decomposition, auto-correlation, and the layers that Autoformer is made of."""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mtlrun.core.distributed import averaged
from mtlrun.core.model import full_precision

Activation = Literal["gelu", "relu"]
Delays = Literal["per_head", "all_heads"]


def decompose(series: Tensor, window: int) -> tuple[Tensor, Tensor]:
    """A series as seasonal part and trend, whose sum it is.

    Args:
        series: [B, L, D].
        window: Odd length of the moving average; the ends are extended by their own values.

    Returns:
        Seasonal part and trend, [B, L, D] each.
    """
    reach = window // 2
    first, last = series[:, :1].expand(-1, reach, -1), series[:, -1:].expand(-1, reach, -1)
    extended = torch.cat((first, series, last), dim=1)
    trend = F.avg_pool1d(extended.transpose(1, 2), window, stride=1).transpose(1, 2)
    return series - trend, trend


def correlation(queries: Tensor, keys: Tensor, heads: int) -> Tensor:
    """R[tau] = sum over t of queries[t + tau] * keys[t], circular, mean over the channels of a head.

    The mean is taken before the inverse transform, which is linear.

    Args:
        queries: [B, L, D], float32 or float64.
        keys: [B, L, D].
        heads: H parts that the channels are cut into.

    Returns:
        [B, H, L].
    """
    batch, length, _ = queries.shape
    spectrum = torch.fft.rfft(queries.transpose(1, 2)) * torch.fft.rfft(keys.transpose(1, 2)).conj()
    mean = spectrum.reshape(batch, heads, -1, length // 2 + 1).mean(dim=2)
    scores: Tensor = torch.fft.irfft(mean, n=length)
    return scores


def aggregate(values: Tensor, delays: Tensor, weights: Tensor) -> Tensor:
    """Weighted sum over delays tau of values[t + tau], circular.

    It is computed as one product of spectra, since a sum of shifts is a correlation with a sparse kernel.

    Args:
        values: [B, L, D], float32 or float64.
        delays: [B, H, K] in 0..L-1, distinct along K, for each of H parts of the channels.
        weights: [B, H, K].

    Returns:
        [B, L, D].
    """
    batch, length, _ = values.shape
    heads = weights.shape[1]
    kernel = weights.new_zeros(batch, heads, length).scatter(2, delays, weights)
    spectrum = torch.fft.rfft(values.transpose(1, 2)).reshape(batch, heads, -1, length // 2 + 1)
    product = (spectrum * torch.fft.rfft(kernel).conj().unsqueeze(2)).flatten(1, 2)
    aggregated: Tensor = torch.fft.irfft(product, n=length).transpose(1, 2)
    return aggregated


class AutoCorrelation(nn.Module):
    """Aggregates a series with itself, shifted by its likely periods.

    Source: Wu et al., Autoformer, arXiv:2106.13008, Eq. 6-8; the choice of delays by the mean over
    the batch in training and by example in evaluation as in the official code. Under data
    parallelism the mean is that of all processes' examples.

    Args:
        dim: D, channels.
        heads: H, of which each has D / H channels.
        factor: floor(factor * log L) delays are aggregated.
        delays: Whether each head has delays of its own.
    """

    def __init__(self, dim: int, *, heads: int, factor: int, delays: Delays) -> None:
        super().__init__()
        self.heads = heads if delays == "per_head" else 1
        self.factor = factor
        self.query, self.key = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.value, self.output = nn.Linear(dim, dim), nn.Linear(dim, dim)

    def forward(self, series: Tensor, memory: Tensor) -> Tensor:
        """[B, L, D] from a series [B, L, D] that asks and a memory [B, S, D] that answers.

        The memory is cut, or filled up with zeros, to length L.
        """
        length = series.shape[1]
        keys = fit_length(self.key(memory), length)
        values = full_precision(fit_length(self.value(memory), length))
        scores = correlation(
            full_precision(self.query(series)), full_precision(keys), self.heads
        )  # [B, H, L]
        delays = self.choose(scores)
        weights = torch.softmax(scores.gather(2, delays), dim=2)
        aggregated: Tensor = self.output(aggregate(values, delays, weights).to(keys.dtype))
        return aggregated

    def choose(self, scores: Tensor) -> Tensor:
        """[B, H, K] the delays of the largest scores [B, H, L]: the batch's in training, else each example's."""
        length = scores.shape[2]
        count = min(max(int(self.factor * math.log(length)), 1), length)
        if not self.training:
            return scores.topk(count, dim=2).indices
        common = averaged(scores.mean(dim=0)).topk(count, dim=1).indices
        return common.expand(len(scores), -1, -1)


class SeasonalNorm(nn.Module):
    """Layer norm without its mean over time, so that no trend is left in a seasonal part."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)

    def forward(self, series: Tensor) -> Tensor:
        """[B, L, D] from [B, L, D]."""
        normed: Tensor = self.norm(series)
        return normed - normed.mean(dim=1, keepdim=True)


class FeedForward(nn.Sequential):
    """Two linear layers without bias on every row."""

    def __init__(self, dim: int, *, width: int, dropout: float, activation: Activation) -> None:
        super().__init__(
            nn.Linear(dim, width, bias=False),
            nn.GELU() if activation == "gelu" else nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(width, dim, bias=False),
            nn.Dropout(dropout),
        )


class EncoderLayer(nn.Module):
    """Auto-correlation and feed-forward, each followed by a decomposition that keeps the seasonal part.

    Source: Autoformer, Eq. 3.

    Args:
        attention: Of the series with itself.
        feed_forward: Of every row.
        window: Of the moving average.
        dropout: After the auto-correlation.
    """

    def __init__(
        self,
        attention: AutoCorrelation,
        feed_forward: FeedForward,
        *,
        window: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.attention, self.feed_forward = attention, feed_forward
        self.window, self.dropout = window, nn.Dropout(dropout)

    def forward(self, series: Tensor) -> Tensor:
        """[B, L, D] from [B, L, D]."""
        attended = self.dropout(self.attention(series, series))
        series, _ = decompose(series + attended, self.window)
        series, _ = decompose(series + self.feed_forward(series), self.window)
        return series


class DecoderLayer(nn.Module):
    """An encoder layer with a look at the encoder's output; the trends it takes out are projected and kept.

    Source: Autoformer, Eq. 4.

    Args:
        own_attention: Of the series with itself.
        cross_attention: Of the series with the encoder's output.
        feed_forward: Of every row.
        dim: D.
        channels: C, of the predicted trend.
        window: Of the moving average.
        dropout: After the auto-correlations.
    """

    def __init__(
        self,
        own_attention: AutoCorrelation,
        cross_attention: AutoCorrelation,
        feed_forward: FeedForward,
        *,
        dim: int,
        channels: int,
        window: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.own_attention, self.cross_attention = own_attention, cross_attention
        self.feed_forward = feed_forward
        self.projections = nn.ModuleList(nn.Linear(dim, channels, bias=False) for _ in range(3))
        self.window, self.dropout = window, nn.Dropout(dropout)

    def forward(self, series: Tensor, encoded: Tensor, trend: Tensor) -> tuple[Tensor, Tensor]:
        """Seasonal part [B, L, D] and grown trend [B, L, C] from those before and encoded [B, S, D]."""
        attended = self.dropout(self.own_attention(series, series))
        series, first = decompose(series + attended, self.window)
        attended = self.dropout(self.cross_attention(series, encoded))
        series, second = decompose(series + attended, self.window)
        series, third = decompose(series + self.feed_forward(series), self.window)
        for projection, found in zip(self.projections, (first, second, third), strict=True):
            trend = trend + projection(found)
        return series, trend


class SeriesEmbedding(nn.Module):
    """Rows of series and time marks as vectors, without positions.

    Args:
        series: C.
        marks: M.
        dim: D.
        dropout: Of the sum.
    """

    def __init__(self, series: int, marks: int, *, dim: int, dropout: float) -> None:
        super().__init__()
        self.values = nn.Conv1d(
            series, dim, kernel_size=3, padding=1, padding_mode="circular", bias=False
        )
        nn.init.kaiming_normal_(self.values.weight, mode="fan_in", nonlinearity="leaky_relu")
        self.marks = nn.Linear(marks, dim, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, series: Tensor, marks: Tensor) -> Tensor:
        """[B, L, D] from [B, L, C] and [B, L, M]."""
        values = self.values(series.transpose(1, 2)).transpose(1, 2)
        embedded: Tensor = self.dropout(values + self.marks(marks))
        return embedded


def fit_length(series: Tensor, length: int) -> Tensor:
    """[B, length, D] from [B, S, D], cut or filled up with zeros at the end."""
    missing = length - series.shape[1]
    return F.pad(series, (0, 0, 0, missing)) if missing > 0 else series[:, :length]
