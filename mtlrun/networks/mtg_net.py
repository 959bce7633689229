"""A network that predicts what tasks gain from being trained together."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

TEMPERATURE = 0.2  # of the attention, as in the released program


class MTGNet(nn.Module):
    """Attention among the tasks of a group, then a number for each.

    Source: Song et al., Efficient and Effective Multi-Task Grouping via Meta Learning on Task
    Combinations, NeurIPS 2022, and its released program.
    Differs: that program's dropout, which is made and never applied, and its unused layers are not here.

    Args:
        num_tasks: T, each with an embedding.
        hidden: D, width of embeddings and layers.
        num_layers: Of attention and feed-forward network.
    """

    def __init__(self, num_tasks: int, *, hidden: int = 128, num_layers: int = 2) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_tasks, hidden)
        self.layers = nn.ModuleList(_Layer(hidden) for _ in range(num_layers))
        self.output = nn.Linear(hidden, 1)

    def forward(self, members: Tensor) -> Tensor:
        """[G, T] gains of the tasks of G groups; what stands at other tasks means nothing.

        Args:
            members: [G, T] bool; each group has a task.
        """
        found = self.embedding.weight.expand(len(members), -1, -1)
        for layer in self.layers:
            found = layer(found, members)
        gains: Tensor = self.output(found).squeeze(-1)
        return gains


class _Layer(nn.Module):
    """One head of attention and a feed-forward network, each with a shortcut and a norm behind it."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.query, self.key, self.value, self.mixed = (nn.Linear(hidden, hidden) for _ in range(4))
        self.forth, self.back = nn.Linear(hidden, hidden), nn.Linear(hidden, hidden)
        self.after_attention, self.after_network = nn.LayerNorm(hidden), nn.LayerNorm(hidden)

    def forward(self, inputs: Tensor, members: Tensor) -> Tensor:
        """[G, T, D]; tasks attend to members only."""
        scale = 1 / (TEMPERATURE * inputs.shape[-1] ** 0.5)
        query, key, value = (part(inputs) for part in (self.query, self.key, self.value))
        mask = members.unsqueeze(1).expand(-1, members.shape[1], -1)
        context = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scale)
        found = self.after_attention(inputs + self.mixed(context))
        found = found + self.back(torch.relu(self.forth(found)))
        normed: Tensor = self.after_network(found)
        return normed
