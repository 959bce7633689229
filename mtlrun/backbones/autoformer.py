"""Autoformer: a transformer that decomposes series and attends by auto-correlation."""

from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from mtlrun.backbones._autoformer_layers import (
    AutoCorrelation,
    DecoderLayer,
    EncoderLayer,
    FeedForward,
    SeasonalNorm,
    SeriesEmbedding,
    decompose,
)
from mtlrun.core.data import InputSpec
from mtlrun.core.model import Backbone
from mtlrun.core.task import Output

Hidden = tuple[Tensor, Tensor, Tensor]  # encoder's state, decoder's first seasonal part and trend


class Autoformer(Backbone):
    """Shared decomposition, embeddings and encoder; each head is a decoder of its own.

    Source: Wu et al., Autoformer, NeurIPS 2021, arXiv:2106.13008, Eq. 1-8; the division into shared
    and task-specific parts is that of PTG's forecasting experiment. As in the official code:
    embeddings without positions, a circular convolution of width 3 for the values and a linear
    layer for the time marks; auto-correlation without the factor 1/L of Eq. 5; the keys cut to
    the queries' length; layer norms without their mean over time at the end of encoder and decoder.
    Differs: the trend a univariate decoder begins with is a learned combination of all series'
    trends, since a head does not know which series it predicts; the three trends of a decoder layer
    have linear projections of their own (Eq. 4; the official code has one convolution of width 3
    for their sum); each head of the auto-correlation has delays of its own (Section 3.2; the official
    code, and PTG with it, has common ones: `delays=all_heads`).

    Stages: the first decomposes and embeds, each other is an encoder layer. Their outputs, and the
    features, are (encoder's state [B, seq_len, D], embedding of the decoder's first seasonal part
    [B, label_len + L, D], the trend it begins with [B, label_len + L, num_series]).

    Heads: `sequence` only, [B, L, C], or [B, L] for one channel.

    Args:
        inputs: Of kind `series`.
        d_model: D, channels.
        num_heads: Parts of the channels in the auto-correlation; without effect on the result if
            `delays` is "all_heads".
        encoder_layers: At least 1.
        decoder_layers: At least 1.
        d_ff: Width of the feed-forward layers.
        moving_avg: Odd length of the moving average that is a trend.
        factor: floor(factor * log(length)) delays are aggregated.
        dropout: In [0, 1).
        activation: Of the feed-forward layers.
        delays: "per_head", or "all_heads" for delays that all heads have in common.
    """

    def __init__(
        self,
        inputs: InputSpec,
        *,
        d_model: int = 512,
        num_heads: int = 8,
        encoder_layers: int = 2,
        decoder_layers: int = 1,
        d_ff: int = 2048,
        moving_avg: int = 25,
        factor: int = 3,
        dropout: float = 0.1,
        activation: Literal["gelu", "relu"] = "gelu",
        delays: Literal["per_head", "all_heads"] = "per_head",
    ) -> None:
        super().__init__()
        _check_series(inputs)
        _check_sizes(d_model, num_heads, moving_avg)
        for name, value in (("encoder_layers", encoder_layers), ("decoder_layers", decoder_layers)):
            if value < 1:
                raise ValueError(
                    f"`{name}` should be at least 1. Found `{name} = {value}`. Set backbone.{name}."
                )
        self.inputs, self.d_model, self.decoder_layers = inputs, d_model, decoder_layers
        self.window, self.drop = moving_avg, dropout
        self.make_attention = partial(
            AutoCorrelation, d_model, heads=num_heads, factor=factor, delays=delays
        )
        self.make_feed_forward = partial(
            FeedForward, d_model, width=d_ff, dropout=dropout, activation=activation
        )
        layers = [
            EncoderLayer(
                self.make_attention(), self.make_feed_forward(), window=moving_avg, dropout=dropout
            )
            for _ in range(encoder_layers)
        ]
        self.stages = nn.ModuleList([_Begin(inputs, d_model, moving_avg, dropout)])
        self.stages.extend(_Encode(layer, nn.Identity()) for layer in layers[:-1])
        self.stages.append(_Encode(layers[-1], SeasonalNorm(d_model)))

    def make_head(self, output: Output) -> nn.Module:
        """A decoder."""
        if output.kind != "sequence":
            raise ValueError(
                f"Backbone `autoformer` makes heads for `sequence` outputs. Found a task whose output is "
                f"`{output.kind}`. Set backbone=mlp for vectors, backbone=resnet_small for images."
            )
        layers = [
            DecoderLayer(
                self.make_attention(),
                self.make_attention(),
                self.make_feed_forward(),
                dim=self.d_model,
                channels=output.channels,
                window=self.window,
                dropout=self.drop,
            )
            for _ in range(self.decoder_layers)
        ]
        sizes = self.inputs.details
        return Decoder(
            layers,
            series=sizes["num_series"],
            dim=self.d_model,
            channels=output.channels,
            length=sizes["pred_len"],
        )

    def last_shared_layer(self) -> nn.Module:
        """The last linear layer of the encoder; the norm after it stands for too little."""
        last = self.stages[-1]
        return (
            last.layer.feed_forward[-2]
            if isinstance(last, _Encode)
            else super().last_shared_layer()
        )


class Decoder(nn.Module):
    """Predicts from the encoder's output: seasonal part plus trend, the last L rows of both.

    Args:
        layers: In sequence.
        series: Whose trends are combined to begin with.
        dim: D.
        channels: C, of the prediction.
        length: L.
    """

    def __init__(
        self, layers: list[DecoderLayer], *, series: int, dim: int, channels: int, length: int
    ) -> None:
        super().__init__()
        self.trend = nn.Linear(series, channels)
        self.layers = nn.ModuleList(layers)
        self.norm = SeasonalNorm(dim)
        self.seasonal = nn.Linear(dim, channels)
        self.length = length

    def forward(self, features: Hidden) -> Tensor:
        """[B, L, C], or [B, L] for one channel."""
        encoded, series, trends = features
        trend: Tensor = self.trend(trends)
        for layer in self.layers:
            series, trend = layer(series, encoded, trend)
        prediction: Tensor = trend + self.seasonal(self.norm(series))
        return prediction[:, -self.length :].squeeze(-1)


class _Begin(nn.Module):
    """The first stage: embeds the observed rows, and what a decoder begins with."""

    def __init__(self, inputs: InputSpec, dim: int, window: int, dropout: float) -> None:
        super().__init__()
        sizes = inputs.details
        self.num_series, self.window = sizes["num_series"], window
        self.seq_len, self.pred_len = sizes["seq_len"], sizes["pred_len"]
        self.label_begin = sizes["seq_len"] - sizes["label_len"]
        embed = partial(
            SeriesEmbedding, self.num_series, sizes["num_marks"], dim=dim, dropout=dropout
        )
        self.observed, self.predicted = embed(), embed()

    def forward(self, inputs: Tensor) -> Hidden:
        series, marks = inputs[..., : self.num_series], inputs[..., self.num_series :]
        observed = series[:, : self.seq_len]
        seasonal, trend = decompose(observed, self.window)
        mean = observed.mean(dim=1, keepdim=True).expand(-1, self.pred_len, -1)
        horizon = series[:, self.seq_len :]  # zeros
        seasonal = torch.cat((seasonal[:, self.label_begin :], horizon), dim=1)
        trend = torch.cat((trend[:, self.label_begin :], mean), dim=1)
        return (
            self.observed(observed, marks[:, : self.seq_len]),
            self.predicted(seasonal, marks[:, self.label_begin :]),
            trend,
        )


class _Encode(nn.Module):
    """A later stage: an encoder layer on the encoder's state; the rest is passed on."""

    def __init__(self, layer: EncoderLayer, norm: nn.Module) -> None:
        super().__init__()
        self.layer, self.norm = layer, norm

    def forward(self, hidden: Hidden) -> Hidden:
        series, seasonal, trend = hidden
        return self.norm(self.layer(series)), seasonal, trend


def _check_series(inputs: InputSpec) -> None:
    if inputs.kind != "series":
        raise ValueError(
            f"Backbone `autoformer` reads series. Found inputs of kind `{inputs.kind}`. Set "
            f"backbone=mlp for vectors, backbone=resnet_small for images."
        )


def _check_sizes(d_model: int, num_heads: int, moving_avg: int) -> None:
    if num_heads < 1 or d_model < 1 or d_model % num_heads:
        raise ValueError(
            f"`num_heads` should divide `d_model` ({d_model}). Found `num_heads = {num_heads}`. Set "
            f"backbone.num_heads or backbone.d_model."
        )
    if moving_avg < 1 or moving_avg % 2 == 0:
        raise ValueError(
            f"`moving_avg` should be odd and positive, so that the average lies around its row. Found "
            f"`moving_avg = {moving_avg}`. Set backbone.moving_avg."
        )
