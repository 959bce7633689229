"""Accuracy under adversarial noise and entropy ratios, of models whose answers are known."""

import matplotlib.image
import pytest
import torch
from torch import nn

from mtlrun.config import build, compose
from mtlrun.engine.pipeline import run
from mtlrun.tasks.classification import classification
from tests.scripts.loading import imported


@pytest.fixture(scope="module")
def script():
    with imported("robustness") as module:
        yield module


class Fixed(nn.Module):
    """Two classes by the sign of the first number, the surer the farther."""

    def forward(self, inputs, tasks):
        return {task: torch.stack([-own[:, 0], own[:, 0]], 1) for task, own in inputs.items()}


def served(script, values, classes):
    inputs = torch.tensor(values, dtype=torch.float64).unsqueeze(1)
    task = classification("a", num_classes=2)
    return script.Served(task, Fixed(), inputs, torch.tensor(classes), True)


def test_noise_moves_every_input_against_its_class(script):
    own = served(script, [0.05, 0.3, -0.3, -1.0], [1, 1, 0, 0])
    found = [script.accuracy(own, level) for level in (0.0, 0.1, 0.5, 2.0)]
    assert found == [1.0, 0.75, 0.25, 0.0]


def test_the_entropy_ratio_is_that_of_wrong_to_right(script):
    own = served(script, [2.0, -1.0, 0.1], [1, 0, 0])  # the last is wrong

    def entropy(value):
        p = torch.tensor([-value, value], dtype=torch.float64).softmax(0)
        return float(-(p * p.log()).sum())

    expected = entropy(0.1) / ((entropy(2.0) + entropy(-1.0)) / 2)
    assert script.entropy_ratio([own]) == pytest.approx(expected)


def test_finished_runs_are_compared(script, tmp_path):
    folders = []
    for method in ("bmtl", "vmtl"):
        for seed in (0, 1):
            folder = tmp_path / method / f"seed{seed}"
            folders.append(str(folder))
            words = [
                f"method={method}", f"seed={seed}", "trainer.epochs=3", "method.latent=6",
                "method.hidden=6", f"folder={folder}", f"store={tmp_path / 'store'}",
                "trainer.device=cpu",
            ]  # fmt: skip
            result = run(build(compose(words))).result
    out = tmp_path / "out"
    script.main([*folders, "--noise", "0", "0.5", "--out", str(out), "--device", "cpu"])
    table = (out / "robustness.csv").read_text().splitlines()
    assert table[0] == "method,runs,entropy ratio,e=0,e=0.5"
    assert [line.split(",")[:2] for line in table[1:]] == [["bmtl", "2"], ["vmtl", "2"]]
    rows = (out / "robustness_runs.csv").read_text().splitlines()
    assert len(rows) == 1 + 4 * 2
    own = result["scores"]["test"]
    mean = sum(scores["accuracy"] for scores in own.values()) / len(own)
    assert float(rows[-2].split(",")[3]) == pytest.approx(mean)
    assert matplotlib.image.imread(out / "robustness.png").std() > 0.01
