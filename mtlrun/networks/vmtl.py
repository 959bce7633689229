"""Variational multi-task learning: random representations and classifiers with priors of the other tasks."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from mtlrun.core.batch import Batch, TaskName
from mtlrun.core.model import Features, MultiTaskModel, full_precision
from mtlrun.core.seeding import seed_for, seeded
from mtlrun.core.task import Task
from mtlrun.networks._by_task import encoded_by_task
from mtlrun.networks._classifiers import AmortizedClassifiers, OwnClassifiers
from mtlrun.networks._draws import paired_logits, product_logits, with_bias
from mtlrun.networks._gaussian import (
    Gaussian,
    concatenated,
    kl_to_combination,
    kl_to_mixture,
    kl_to_standard,
)
from mtlrun.networks._gaussian_linear import stacked
from mtlrun.networks._latent import GaussianNetwork, LatentNet
from mtlrun.networks._mixing import MixingWeights, drawn_together
from mtlrun.networks._vmtl_check import check_draws, check_sizes
from mtlrun.networks.class_bank import Attention, ClassBank

PriorName = Literal["gumbel", "learnable", "mean", "normal"]
PriorForm = Literal["combination", "mixture"]
Pairing = Literal["paired", "product"]
ClassifierName = Literal["own", "amortized"]


class VMTL(MultiTaskModel):
    """T classification tasks with inputs of their own, classes in common, and random z and w.

    q(z|x) = N(mu(x), sigma^2(x)) by a network that all tasks share; q(w_t) by parameters of the task,
    or made of its classes' centres. The prior of a task's z is made of what the network makes of the
    related features of the same input in the other tasks, that of its w of the other tasks' q(w).

    Source: Shen et al., Variational Multi-Task Learning with Gumbel-Softmax Priors, NeurIPS 2021,
    supplement A.1 (objective), B.1 (networks); its released program where that is silent.
    Differs: priors read every other task's classifier as it stands; the program takes the mean as it
    stands and the variance of its last pass. Draws of z and w for all samples, rows and tasks are one
    operation each, see `paired_logits`.

    Args:
        num_inputs: Width of the inputs.
        tasks: T of them, with as many classes each.
        bank: Their training examples; None where no prior and no classifier is made of them.
        seed: Of the initial weights, and of draws at test time.
        prior: "gumbel", "learnable" or "mean" weights of the other tasks, or "normal" for N(0, I).
        prior_form: "combination" for the Gaussian of the weighted sum, "mixture" for the weighted
            mean of densities, whose divergence is estimated by the draws.
        classifier: "own" or "amortized".
        z_net: "mlp" or "linear", see `GaussianNetwork`.
        latent: Width of z.
        hidden: Width of hidden layers.
        dropout: Of the inputs and related features.
        bayesian_z: Whether z is random; else it is a point, without a divergence.
        bayesian_w: Whether w is.
        shared_mixing: Whether z and w of a task have the same weights of the others.
        detach_prior: Whether priors are constants of the gradient, but for the mixing weights.
        num_z: L, draws of z.
        num_w: M, draws of w.
        pairing: "paired" for L draws of z, each row with a draw of w of its own (L = M); "product"
            for M draws of w, each for all L draws of z.
        num_test: Draws of z and w whose probabilities are averaged in evaluation; 0 for the means.

    Raises:
        ValueError: If settings do not fit each other.
    """

    def __init__(
        self,
        num_inputs: int,
        tasks: Sequence[Task],
        bank: ClassBank | None,
        *,
        seed: int,
        prior: PriorName = "gumbel",
        prior_form: PriorForm = "combination",
        classifier: ClassifierName = "own",
        z_net: LatentNet = "mlp",
        latent: int = 512,
        hidden: int = 512,
        dropout: float = 0.7,
        bayesian_z: bool = True,
        bayesian_w: bool = True,
        shared_mixing: bool = False,
        detach_prior: bool = True,
        num_z: int = 10,
        num_w: int = 10,
        pairing: Pairing = "paired",
        num_test: int = 0,
    ) -> None:
        super().__init__()
        check_sizes(latent=latent, hidden=hidden, dropout=dropout)
        check_draws(num_z=num_z, num_w=num_w, num_test=num_test, pairing=pairing)
        self.tasks, self.bank, self.seed = tuple(tasks), bank, seed
        self.names = tuple(task.name for task in tasks)
        self.prior = prior if len(self.names) > 1 else "normal"
        self.prior_form, self.detach_prior = prior_form, detach_prior
        self.num_z, self.num_w, self.pairing, self.num_test = num_z, num_w, pairing, num_test
        with seeded(seed, "z_net"):
            self.z_net = GaussianNetwork(
                num_inputs, latent, net=z_net, hidden=hidden, dropout=dropout, bayesian=bayesian_z
            )
        with seeded(seed, "classifiers"):
            self.classifiers: OwnClassifiers | AmortizedClassifiers = (
                AmortizedClassifiers(
                    num_inputs, latent, hidden=hidden, dropout=dropout, bayesian=bayesian_w
                )
                if classifier == "amortized"
                else OwnClassifiers(
                    self.names, latent, tasks[0].output.channels, bayesian=bayesian_w
                )
            )
        self.mixing = nn.ModuleDict()
        if self.prior != "normal":
            random = [
                name for name, is_random in (("z", bayesian_z), ("w", bayesian_w)) if is_random
            ]
            for name in ["both"] if shared_mixing and len(random) > 1 else random:
                self.mixing[name] = MixingWeights(self.names, kind=self.prior)

    def forward(self, inputs: Any, tasks: Sequence[TaskName]) -> dict[TaskName, Any]:
        """Logits [B, C] of some tasks; logarithms of mean probabilities where `num_test` draws are asked for."""
        if self.training or not self.num_test:
            return super().forward(inputs, tasks)
        device = next(self.parameters()).device
        generator = torch.Generator(device).manual_seed(seed_for(self.seed, "test draws"))
        posteriors, weights = self._posteriors(inputs, tasks), self._classifiers(tasks)
        found = {}
        for k, task in enumerate(tasks):
            part = weights[slice(k, k + 1)]
            own = with_bias(posteriors[task], part).draws(self.num_test, generator=generator)
            logits = product_logits(own.unsqueeze(1), part, self.num_test, generator=generator)
            logs = full_precision(logits).log_softmax(-1)
            found[task] = torch.logsumexp(logs[:, 0], 0) - math.log(len(logs))
        return found

    def encode(self, inputs: Any, tasks: Sequence[TaskName]) -> Features:
        """The means of z, by task."""
        return encoded_by_task(self.z_net.means, inputs, tasks)

    def decode(self, features: Features, tasks: Sequence[TaskName]) -> dict[TaskName, Any]:
        """Logits [B, C] by the means of w."""
        means = Gaussian(self._classifiers(tasks).mean, None)
        found = {}
        for k, task in enumerate(tasks):
            own = means[slice(k, k + 1)]
            latents = with_bias(Gaussian(features[task], None), own)
            found[task] = product_logits(latents.mean[None, None], own, 1)[0, 0]
        return found

    def prepared(self, batch: Batch) -> tuple[Batch, Attention | None]:
        """The batch ordered by class, and what its inputs attend to in other tasks, if a prior reads it."""
        if self.bank is None or not {"z", "both"} & set(self.mixing):
            return batch, None
        classes = self._own(batch.targets)
        first = classes[0]
        facts = (classes == first).all(), (first.diff() >= 0).all()
        are_aligned, are_ordered = torch.stack(facts).tolist()
        if not are_aligned:
            raise ValueError(
                "A training batch should hold the same classes, in the same order, for every task. "
                "Found other ones. Set data=office_caltech or another whose batches are aligned."
            )
        if not are_ordered:
            order = first.argsort(stable=True)
            batch = batch.map(lambda values: values[order])
        with torch.no_grad():
            inputs: Any = batch.inputs
            own = [inputs[name] for name in self.names]
            return batch, self.bank.shares(own, batch.targets[self.names[0]])

    def evidence(
        self,
        batch: Batch,
        tasks: Sequence[TaskName],
        *,
        attention: Attention | None,
        temperature: float,
        first: bool = False,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What the evidence lower bound of K tasks is made of.

        Args:
            batch: As `prepared` gives it.
            tasks: K names.
            attention: As `prepared` gives it.
            temperature: Of the Gumbel softmax.
            first: Whether priors are N(0, I), as in the first step.

        Returns:
            Logits [S, K, B, C]; KL divergences of z [K], means over the batch; of w [K].
        """
        simple = first or self.prior == "normal"
        posterior, related = self._representations(batch, tasks, None if simple else attention)
        own = _precise(self._classifiers(tasks))  # [K, C, D]
        if self.pairing == "paired":
            logits = paired_logits(posterior, own, self.num_z)
        else:
            latents = with_bias(posterior, own).draws(self.num_z)
            logits = product_logits(latents, own, self.num_w)
        if simple:
            kl_z = kl_to_standard(posterior).mean(-1)
            kl_w = kl_to_standard(own).sum(-1)
        else:
            shares = drawn_together(self._mixings(), tasks, temperature)
            kl_z = self._kl_z(posterior, related, shares)
            kl_w = self._kl_w(own, tasks, shares)
        return full_precision(logits), kl_z, kl_w

    def _representations(
        self, batch: Batch, tasks: Sequence[TaskName], attention: Attention | None
    ) -> tuple[Gaussian, Gaussian | None]:
        """q(z|x) [K, B, D], and of related features [K, T - 1, B, D] if a prior reads them."""
        inputs = self._own(batch.inputs, tasks)
        if attention is None:
            return _precise(self.z_net(inputs)), None
        places = [self.names.index(task) for task in tasks]
        rows = attention.related(places, behind=inputs.flatten(0, 1))
        count = len(places) * inputs.shape[1]
        if self.detach_prior:
            own, others = self.z_net.beside(rows, count)
        else:
            found = self.z_net(rows)
            own, others = found[slice(count)], found[slice(count, None)]
        shape = len(places), inputs.shape[1]
        return _shaped(own, *shape), _shaped(others, shape[0], len(self.names) - 1, shape[1])

    def _kl_z(
        self, posterior: Gaussian, related: Gaussian | None, shares: Mapping[str, Tensor]
    ) -> Tensor:
        """[K], means over the batch."""
        mixed = shares.get("both", shares.get("z"))
        if mixed is None or related is None:
            return posterior.mean.new_zeros(len(posterior.mean))
        scale = 1 / posterior.mean.shape[1]
        return self._kl(posterior, related, mixed, self.num_z, scale=scale)

    def _kl_w(
        self, own: Gaussian, tasks: Sequence[TaskName], shares: Mapping[str, Tensor]
    ) -> Tensor:
        """[K], sums over classes."""
        mixed = shares.get("both", shares.get("w"))
        if mixed is None:
            return own.mean.new_zeros(len(own.mean))
        others = [name for name in self.names if name not in tasks]
        if len(tasks) == 1:  # the usual turn: nothing to look up
            with self._of_priors():
                rest_of_all = _precise(self._classifiers(others))[None]
            return self._kl(own, rest_of_all, mixed, self.num_w)
        parts = own.detach() if self.detach_prior else own
        if others:
            with self._of_priors():  # so that others have no gradient, not one of zeros
                parts = concatenated([parts, _precise(self._classifiers(others))])
        order = [*tasks, *others]
        rest = [[order.index(name) for name in self.names if name != task] for task in tasks]
        parts = parts[torch.tensor(rest, device=own.mean.device)]  # [K, T - 1, C, D]
        return self._kl(own, parts, mixed, self.num_w)

    def _of_priors(self) -> torch.set_grad_enabled:
        """The context of what only priors are made of."""
        return torch.set_grad_enabled(torch.is_grad_enabled() and not self.detach_prior)

    def _kl(
        self,
        posterior: Gaussian,
        parts: Gaussian,
        shares: Tensor,
        count: int,
        *,
        scale: float = 1.0,
    ) -> Tensor:
        """[K], summed over rows, times the scale."""
        if self.prior_form == "mixture":
            draws = posterior.draws(count)
            return kl_to_mixture(posterior, parts, shares, draws).sum(-1) * scale
        return kl_to_combination(posterior, parts, shares, scale=scale)

    def shared_parameters(self) -> list[nn.Parameter]:
        """The network's of z, and of the classifiers where they are amortized."""
        own = (
            [] if isinstance(self.classifiers, OwnClassifiers) else [*self.classifiers.parameters()]
        )
        return [*self.z_net.parameters(), *own]

    def task_parameters(self, task: TaskName) -> list[nn.Parameter]:
        """The classifier's, and the logits of the task's mixing weights."""
        own = []
        if isinstance(self.classifiers, OwnClassifiers):
            own = self.classifiers.task_parameters(task)
        logits = [
            mixing.logits[task] for mixing in self._mixings().values() if task in mixing.logits
        ]
        return [*own, *logits]

    def learned(self) -> Mapping[str, Any]:
        """The expected weights of the other tasks in every task's priors."""
        return {f"mixing_{name}": mixing.expected() for name, mixing in self._mixings().items()}

    def _mixings(self) -> dict[str, MixingWeights]:
        """By what their priors are of: z, w or both."""
        return {name: own for name, own in self.mixing.items() if isinstance(own, MixingWeights)}

    def _classifiers(self, tasks: Sequence[TaskName]) -> Gaussian:
        """[K, C, D (+ 1)] of some tasks."""
        if isinstance(self.classifiers, OwnClassifiers):
            found: Gaussian = self.classifiers(tasks)
            return found
        assert self.bank is not None
        made: Gaussian = self.classifiers(
            self.bank.centres[[self.names.index(task) for task in tasks]]
        )
        return made

    def _posteriors(self, inputs: Any, tasks: Sequence[TaskName]) -> dict[TaskName, Gaussian]:
        """q(z|x) of every input, by task, in one pass."""
        found = encoded_by_task(lambda x: _as_pair(self.z_net(x)), inputs, tasks)
        return {task: Gaussian(*own) for task, own in found.items()}

    def _own(self, values: Any, tasks: Sequence[TaskName] | None = None) -> Tensor:
        """[K, B, ...] what a batch has for some tasks, or all."""
        return stacked([values[task] for task in tasks or self.names])


def _as_pair(own: Gaussian) -> tuple[Tensor, Tensor | None]:
    return own.mean, own.variance


def _shaped(own: Gaussian, *shape: int) -> Gaussian:
    """[..., D] of rows [R, D], in float32 at least."""
    variance = None if own.variance is None else own.variance.view(*shape, -1)
    return _precise(Gaussian(own.mean.view(*shape, -1), variance))


def _precise(own: Gaussian) -> Gaussian:
    """In float32 at least."""
    variance = None if own.variance is None else full_precision(own.variance)
    return Gaussian(full_precision(own.mean), variance)
