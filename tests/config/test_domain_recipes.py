"""The recipes of domains are VMTL's, and every seed has a split of its own."""

import pytest

from mtlrun.config import compose

# Tables B.1 and C.13: iterations, examples of every class and task, classes.
TABLE = {
    "office_home": (15_000, 4, 65),
    "office_caltech": (15_000, 4, 10),
    "imageclef": (15_000, 4, 12),
    "domainnet": (30_000, 2, 345),
}


@pytest.mark.parametrize("data", TABLE)
def test_iterations_and_batches_are_the_paper_s(data: str) -> None:
    found = compose([f"data={data}"])
    values = found.values
    iterations, per_class, num_classes = TABLE[data]
    assert values["trainer"]["epochs"] == iterations
    assert values["data"]["per_class"] == per_class
    assert values["trainer"]["batch_size"] == per_class * num_classes
    assert (found.choices["backbone"], found.choices["optimizer"]) == ("latent", "adam")
    assert (values["optimizer"]["lr"], values["optimizer"]["weight_decay"]) == (1e-4, 5e-4)
    assert (values["scheduler"]["every"], values["scheduler"]["decay"]) == (3000, 0.5)
    assert values["data"]["train_share"] == (0.04 if data == "domainnet" else 0.05)
    assert values["trainer"]["select"] == "last"


def test_splits_are_drawn_by_the_run_s_seed_or_one_of_their_own() -> None:
    for words, expected in (([], 0), (["seed=3"], 3), (["seed=3", "data.split_seed=1"], 1)):
        assert compose(["data=office_caltech", *words]).values["data"]["split_seed"] == expected
