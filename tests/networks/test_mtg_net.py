"""MTG-Net: who attends to whom."""

import torch

from mtlrun.networks.mtg_net import MTGNet

T = 5


def net(seed: int = 0) -> MTGNet:
    torch.manual_seed(seed)
    return MTGNet(T, hidden=8).double()


def groups() -> torch.Tensor:
    """All of them."""
    return torch.tensor([[bool(own >> t & 1) for t in range(T)] for own in range(1, 2**T)])


def test_tasks_outside_of_a_group_do_not_matter() -> None:
    own, members = net(), torch.tensor([[True, False, True, False, False]])
    before = own(members)
    with torch.no_grad():
        own.embedding.weight[[1, 3, 4]] = 7.0
    torch.testing.assert_close(own(members)[members], before[members], rtol=1e-12, atol=0)


def test_each_task_of_a_group_matters_to_each() -> None:
    own, members = net(), torch.tensor([[True, False, True, True, False]])
    found = own(members)
    for task in (0, 2, 3):
        (gradient,) = torch.autograd.grad(found[0, task], own.embedding.weight, retain_graph=True)
        assert gradient.any(1).tolist() == members[0].tolist()


def test_renamed_tasks_have_the_gains_of_their_embeddings() -> None:
    own, members = net(), groups()
    found = own(members)
    order = torch.tensor([3, 0, 4, 1, 2])
    with torch.no_grad():
        own.embedding.weight.copy_(own.embedding.weight[order].clone())
    torch.testing.assert_close(own(members[:, order]), found[:, order], rtol=1e-12, atol=1e-12)


def test_a_group_has_the_same_gains_beside_any_others() -> None:
    own, members = net(), groups()
    together, alone = own(members), torch.cat([own(row[None]) for row in members])
    torch.testing.assert_close(together[members], alone[members], rtol=1e-10, atol=1e-12)
