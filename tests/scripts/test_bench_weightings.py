"""The benchmark of weightings: its rows beside the weightings, and steps that train."""

import pytest
import torch

from tests.scripts.loading import imported

pytest.importorskip("torchjd")


@pytest.fixture(scope="module")
def script():
    with imported("bench_weightings") as module:
        yield module


@pytest.fixture
def bench(script):
    work = script.Workload("mlp", 4, "cpu", dtype=torch.float32)
    return script.Bench(work, "fused")


def test_selective_updates_compete_with_two_and_three_groups(script, bench):
    found = script.CONTESTANTS["mtlrun"](bench, ["selective"])
    assert list(found) == [
        f"selective M={count} {way}" for count in (2, 3) for way in ("exact", "lagged")
    ]
    before = [p.detach().clone() for p in bench.parameters]
    for make in found.values():
        make()()
    assert not any(map(torch.equal, before, bench.parameters))
    assert script.CONTESTANTS["mtlrun"](bench, ["mgda"]).keys() == {"mgda", "mgda on features"}


def test_the_engine_for_gramians_trains_a_copy_by_its_weights(script, bench):
    before = [p.detach().clone() for p in bench.parameters]
    seen = []

    def weighting(gramian):
        seen.append(gramian)
        return torch.ones(4)

    script.autogram_step(bench, weighting)()
    model, batch = bench.work.model, bench.work.batches[1]
    losses = bench.losses(batch, model(batch.inputs, bench.names))
    rows = [
        torch.autograd.grad(loss, model.shared_parameters(), retain_graph=True) for loss in losses
    ]
    jacobian = torch.stack([torch.cat([g.flatten() for g in row]) for row in rows])
    torch.testing.assert_close(seen[0], jacobian @ jacobian.T, rtol=1e-3, atol=1e-6)
    assert all(map(torch.equal, before, bench.parameters))
    assert not any(m._forward_hooks for m in model.modules())
    assert script.CONTESTANTS["autogram"](bench, ["mgda", "gradnorm"]).keys() == {"mgda"}
