"""VMTL's network: priors of other tasks, gradients that stay out of them, and evaluation."""

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from mtlrun.core.batch import Batch
from mtlrun.networks._gaussian import Gaussian, kl_divergence, kl_to_mixture
from mtlrun.networks.vmtl import VMTL
from tests.domains import batch_of, domains, network
from tests.networks.gaussians import combination

DATA = domains()
NAMES = [task.name for task in DATA.tasks]


def evidence(model: VMTL, tasks: list[str], **others: Any) -> tuple[Tensor, Tensor, Tensor]:
    batch, attention = model.prepared(batch_of(DATA))
    torch.manual_seed(0)
    return model.evidence(batch, tasks, attention=attention, **({"temperature": 0.7} | others))


def moved_by(value: Tensor, model: VMTL) -> set[str]:
    """The parameters that a value has a gradient for other than 0."""
    named = dict(model.named_parameters())
    found = torch.autograd.grad(value, list(named.values()), allow_unused=True, retain_graph=True)
    return {
        name
        for name, gradient in zip(named, found, strict=True)
        if gradient is not None and bool(gradient.any())
    }


def test_shared_and_task_parameters_are_all_without_overlap() -> None:
    for classifier, prior, shared_mixing in itertools.product(
        ["own", "amortized"], ["gumbel", "mean", "normal"], [True, False]
    ):
        model = network(DATA, classifier=classifier, prior=prior, shared_mixing=shared_mixing)
        parts = [*model.shared_parameters(), *(p for n in NAMES for p in model.task_parameters(n))]
        assert len({id(p) for p in parts}) == len(parts)
        assert {id(p) for p in parts} == {id(p) for p in model.parameters()}


def test_priors_are_made_of_the_other_tasks() -> None:
    model = network(DATA, prior="mean")
    batch, attention = model.prepared(batch_of(DATA))
    assert attention is not None
    _, kl_z, kl_w = model.evidence(batch, NAMES, attention=attention, temperature=1.0)
    inputs: Any = batch.inputs
    shares = torch.full((1, 2), 0.5).double()
    for t, task in enumerate(NAMES):
        own = model.z_net(inputs[task].unsqueeze(0))
        prior = combination(model.z_net(attention.related([t])), shares)
        torch.testing.assert_close(kl_z[t], kl_divergence(own, prior).mean())
        weights = model._classifiers(NAMES)
        others = [k for k in range(3) if k != t]
        parts = weights[torch.tensor(others)]
        assert parts.variance is not None
        mixed = combination(Gaussian(parts.mean[None], parts.variance[None]), shares)
        torch.testing.assert_close(kl_w[t], kl_divergence(weights[slice(t, t + 1)], mixed).sum())


def test_mixtures_diverge_by_the_mean_over_a_batch_and_the_sum_over_classes() -> None:
    model = network(DATA, prior="mean", prior_form="mixture", num_z=4000, num_w=4000)
    batch, attention = model.prepared(batch_of(DATA))
    assert attention is not None
    _, kl_z, kl_w = model.evidence(batch, NAMES[:1], attention=attention, temperature=1.0)
    inputs: Any = batch.inputs
    shares = torch.full((1, 2), 0.5).double()
    own, related = model.z_net(inputs[NAMES[0]][None]), model.z_net(attention.related([0]))
    expected = kl_to_mixture(own, related, shares, own.draws(4000))
    torch.testing.assert_close(kl_z[0], expected.mean(), rtol=0.03, atol=0)
    weights = model._classifiers(NAMES)
    expected = kl_to_mixture(weights[:1], weights[1:][None], shares, weights[:1].draws(4000))
    torch.testing.assert_close(kl_w[0], expected.sum(), rtol=0.03, atol=0)


@pytest.mark.parametrize("tasks", [["domain_1"], ["domain_2", "domain_0"]])
def test_some_tasks_have_the_divergences_they_have_among_all(tasks: list[str]) -> None:
    model = network(DATA, prior="learnable")
    _, of_z, of_w = evidence(model, NAMES)
    logits, kl_z, kl_w = evidence(model, tasks)
    places = [NAMES.index(task) for task in tasks]
    torch.testing.assert_close(kl_z, of_z[places])
    torch.testing.assert_close(kl_w, of_w[places])
    assert logits.shape == (2, len(tasks), 12, 3)


@pytest.mark.parametrize("form", ["combination", "mixture"])
@pytest.mark.parametrize("shared_mixing", [True, False])
def test_a_detached_prior_moves_its_mixing_weights_and_no_other_task(
    form: str, shared_mixing: bool
) -> None:
    model = network(DATA, prior_form=form, shared_mixing=shared_mixing)
    _, kl_z, kl_w = evidence(model, ["domain_0"])
    own = {"classifiers.own.domain_0.mean", "classifiers.own.domain_0.rho"}
    of_w = {"mixing.both.logits.domain_0"} if shared_mixing else {"mixing.w.logits.domain_0"}
    of_z = {"mixing.both.logits.domain_0"} if shared_mixing else {"mixing.z.logits.domain_0"}
    z_net = {name for name, _ in model.named_parameters() if name.startswith("z_net")}
    assert moved_by(kl_w[0], model) == own | of_w
    assert moved_by(kl_z[0], model) == z_net | of_z


def test_a_prior_that_is_not_detached_moves_the_other_tasks() -> None:
    model = network(DATA, detach_prior=False)
    _, _, kl_w = evidence(model, ["domain_0"])
    assert moved_by(kl_w[0], model) == {
        "mixing.w.logits.domain_0",
        *(f"classifiers.own.{name}.{part}" for name in NAMES for part in ("mean", "rho")),
    }


def test_the_z_network_gets_another_gradient_where_priors_are_not_detached() -> None:
    found = []
    for detach in (True, False):
        model = network(DATA, detach_prior=detach, prior="mean")
        _, kl_z, _ = evidence(model, ["domain_0"])
        found.append(torch.autograd.grad(kl_z[0], [model.z_net.last.mean])[0])
    assert float((found[0] - found[1]).norm() / found[0].norm()) > 1e-3


def test_an_amortized_classifier_reads_the_centres_of_its_own_task_alone() -> None:
    model = network(DATA, classifier="amortized")
    assert model.bank is not None
    before = evidence(model, ["domain_0"])
    weights = model._classifiers(NAMES)
    assert weights.mean.shape == (3, 3, 6)  # T, C, D + 1
    model.bank.centres[1:] += 1.0
    after = model._classifiers(NAMES)
    assert torch.equal(weights.mean[0], after.mean[0])
    assert not torch.equal(weights.mean[1], after.mean[1])
    assert torch.equal(before[0], evidence(model, ["domain_0"])[0])  # the task's own logits


@pytest.mark.parametrize("classifier", ["own", "amortized"])
def test_the_mean_of_a_bias_is_not_its_variance(classifier: str) -> None:
    weights = network(DATA, classifier=classifier)._classifiers(NAMES)
    assert weights.variance is not None
    assert not torch.equal(weights.mean[..., -1], weights.variance[..., -1])
    assert bool((weights.mean[..., -1] < 0).any())


@pytest.mark.parametrize("prior", ["gumbel", "normal"])
def test_the_first_step_has_priors_n_0_1(prior: str) -> None:
    model = network(DATA, prior=prior)
    batch, _ = model.prepared(batch_of(DATA))
    _, kl_z, kl_w = evidence(model, NAMES, first=True)
    inputs: Any = batch.inputs
    for t, task in enumerate(NAMES):
        own = model.z_net(inputs[task])
        simple = Gaussian(torch.zeros_like(own.mean), torch.ones_like(own.mean))
        torch.testing.assert_close(kl_z[t], kl_divergence(own, simple).mean())
    assert (kl_w > 0).all()


@pytest.mark.parametrize(
    ("bayesian_z", "bayesian_w"), [(True, False), (False, True), (False, False)]
)
def test_a_point_has_no_divergence_and_no_mixing_weights(
    bayesian_z: bool, bayesian_w: bool
) -> None:
    model = network(DATA, bayesian_z=bayesian_z, bayesian_w=bayesian_w)
    logits, kl_z, kl_w = evidence(model, NAMES)
    assert bool(kl_z.any()) == bayesian_z
    assert bool(kl_w.any()) == bayesian_w
    assert ("z" in model.mixing) == bayesian_z
    assert ("w" in model.mixing) == bayesian_w
    assert len(logits) == (1 if not bayesian_z and not bayesian_w else 2)


@pytest.mark.parametrize(("pairing", "draws"), [("paired", 3), ("product", 9)])
def test_as_many_logits_are_drawn_as_the_pairing_says(pairing: str, draws: int) -> None:
    model = network(DATA, pairing=pairing, num_z=3, num_w=3)
    assert evidence(model, NAMES)[0].shape == (draws, 3, 12, 3)
    assert evidence(network(DATA, pairing="product", num_z=2, num_w=3), NAMES)[0].shape[0] == 6


def test_draws_that_do_not_fit_the_pairing_are_refused() -> None:
    with pytest.raises(ValueError, match=r"method.pairing=product"):
        network(DATA, num_z=2, num_w=3)
    with pytest.raises(ValueError, match=r"method.num_z"):
        network(DATA, num_z=0, num_w=0)


@pytest.mark.parametrize("num_test", [0, 5])
@pytest.mark.parametrize("classifier", ["own", "amortized"])
def test_evaluation_is_deterministic(num_test: int, classifier: str) -> None:
    model = network(DATA, num_test=num_test, classifier=classifier, dropout=0.5).eval()
    inputs = batch_of(DATA).inputs
    torch.manual_seed(0)
    state = torch.get_rng_state()
    one, other = model(inputs, NAMES), model(inputs, NAMES)
    assert all(torch.equal(one[name], other[name]) for name in NAMES)
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(model.train()(inputs, NAMES)["domain_0"], one["domain_0"])


@torch.no_grad()
def test_evaluation_by_draws_averages_probabilities() -> None:
    model = network(DATA, num_test=7).eval()
    inputs: Any = batch_of(DATA).inputs
    found = model(inputs, NAMES)
    for name in NAMES:
        probabilities = found[name].exp()
        torch.testing.assert_close(probabilities.sum(1), torch.ones(12).double())
    many = network(DATA, num_test=300).eval()
    own, weights = many.z_net(inputs["domain_0"]), many._classifiers(NAMES)
    torch.manual_seed(0)
    logits = torch.einsum("zbd,wcd->zwbc", own.draws(2000), weights[0].draws(500))
    expected = logits.softmax(-1).mean((0, 1))
    assert float((many(inputs, NAMES)["domain_0"].exp() - expected).abs().max()) < 0.02


def test_evaluation_by_means_is_the_classifiers_mean_on_the_mean_of_z() -> None:
    model = network(DATA).eval()
    inputs: Any = batch_of(DATA).inputs
    found = model(inputs, ["domain_2"])
    expected = model.z_net(inputs["domain_2"]).mean @ model._classifiers(NAMES).mean[2].T
    torch.testing.assert_close(found["domain_2"], expected)


def test_tasks_may_have_different_numbers_of_examples_in_evaluation() -> None:
    model = network(DATA, num_test=2).eval()
    inputs: Any = dict(batch_of(DATA).inputs)  # type: ignore[arg-type]  # by task
    inputs["domain_1"] = inputs["domain_1"][:5]
    found = model(inputs, NAMES)
    assert [len(found[name]) for name in NAMES] == [12, 5, 12]


def test_one_task_has_simple_priors() -> None:
    data = domains(num_domains=1)
    model = VMTL(6, data.tasks, None, seed=0, latent=5, hidden=7).double().train()
    assert model.prior == "normal"
    batch, attention = model.prepared(batch_of(data))
    assert attention is None
    assert all(
        v.isfinite().all()
        for v in model.evidence(batch, ["domain_0"], attention=None, temperature=1.0)
    )


def test_two_tasks_are_each_others_priors() -> None:
    data = domains(num_domains=2)
    found = []
    for prior in ("gumbel", "learnable", "mean"):
        model = network(data, prior=prior)
        batch, attention = model.prepared(batch_of(data))
        torch.manual_seed(0)
        names = ["domain_0", "domain_1"]
        terms = model.evidence(batch, names, attention=attention, temperature=0.5)
        found.append(torch.stack(terms[1:]))
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=0)
    torch.testing.assert_close(found[0], found[2], rtol=0, atol=0)


def test_the_same_seed_gives_the_same_initial_weights_whatever_the_priors() -> None:
    one, other = network(DATA, prior="gumbel"), network(DATA, prior="normal")
    expected = dict(other.named_parameters())
    assert all(
        torch.equal(p, expected[name])
        for name, p in one.named_parameters()
        if not name.startswith("mixing")
    )
    assert not torch.equal(network(DATA, seed=1).z_net.last.mean, one.z_net.last.mean)


@pytest.mark.parametrize("detach_prior", [True, False])
def test_inputs_have_a_gradient_where_it_is_asked_for(detach_prior: bool) -> None:
    model = network(DATA, prior="mean", detach_prior=detach_prior)
    batch, attention = model.prepared(batch_of(DATA))
    given: Any = batch.inputs
    given = {name: own.clone().requires_grad_() for name, own in given.items()}
    _, of_z, _ = model.evidence(
        Batch(given, batch.targets), ["domain_1"], attention=attention, temperature=1.0
    )
    of_z.sum().backward()
    assert given["domain_1"].grad.any()
    assert given["domain_0"].grad is None
