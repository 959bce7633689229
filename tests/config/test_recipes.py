"""The recipes of listed pictures are the papers' configurations."""

from typing import Any

import pytest

from mtlrun._catalogue import conf_folder
from mtlrun.config import compose


def composed(*words: str) -> tuple[dict[str, str], dict[str, Any]]:
    found = compose(list(words))
    return dict(found.choices), dict(found.values)


def is_selective(choices: dict[str, str], values: dict[str, Any]) -> None:
    # Table C.1, and appendix C for the losses.
    assert choices["backbone"] == "vit_tiny"
    assert (choices["optimizer"], choices["scheduler"]) == ("adam", "poly")
    assert values["optimizer"]["lr"] == 2e-5
    assert values["optimizer"]["weight_decay"] == 1e-6
    assert values["scheduler"]["power"] == 0.9
    assert values["trainer"]["batch_size"] == 8
    assert values["trainer"]["epochs"] * values["trainer"]["steps_per_epoch"] == 40_000
    assert values["trainer"]["eval_every"] * values["trainer"]["steps_per_epoch"] == 5_000
    assert values["data"]["augment"]
    assert values["data"]["normals_loss"] == "l1"
    assert values["data"]["tasks"] is None


def test_nyudv2_is_that_of_the_selective_paper() -> None:
    is_selective(*composed("data=nyudv2"))


def test_pascal_context_has_the_selective_papers_by_name() -> None:
    choices, values = composed("data=pascal_context", "recipe=pascal_context_selective")
    is_selective(choices, values)
    assert composed("recipe=pascal_context_selective")[0]["data"] == "pascal_context"


def test_pascal_context_is_that_of_dsmtl() -> None:
    for method in ("dsmtl_jl", "dsmtl_il", "dsmtl_al", "hps", "single_task"):
        choices, values = composed("data=pascal_context", f"method={method}")
        assert choices["backbone"] == "deeplab_resnet18"
        assert (choices["optimizer"], choices["scheduler"]) == ("adam", "poly")
        assert values["optimizer"]["lr"] == 1e-4
        assert len(values["data"]["tasks"]) == 4
        assert not values["data"]["augment"]
        assert values["data"]["normals_loss"] == "cosine"


@pytest.mark.parametrize("data", ["nyuv2", "cityscapes", "pascal_context", "taskonomy"])
def test_dsmtls_recipes_average_the_losses(data: str) -> None:
    for method in ("dsmtl_jl", "dsmtl_il", "hps"):
        assert composed(f"data={data}", f"method={method}")[1]["weighting"]["reduction"] == "mean"
    assert "reduction" not in composed(f"data={data}", "weighting=uw")[1]["weighting"]


def test_other_papers_sum_the_losses_also_on_the_same_data() -> None:
    for words in (
        ["experiment=ptg/max_size_taskonomy"],
        ["experiment=ptg/min_size_taskonomy"],
        ["recipe=pascal_context_selective"],
        ["recipe=taskonomy_selective"],
        ["data=celeba"],
    ):
        assert composed(*words)[1]["weighting"]["reduction"] == "sum"


@pytest.mark.parametrize(
    "word",
    [
        *(
            f"data={name}"
            for name in ("nyuv2", "cityscapes", "pascal_context", "taskonomy", "nyudv2")
        ),
        *(f"recipe={name}_selective" for name in ("pascal_context", "taskonomy")),
    ],
)
def test_recipes_of_papers_with_pretrained_encoders_say_so_and_take_a_file(word: str) -> None:
    choices, values = composed(word)
    text = (conf_folder() / "recipe" / f"{choices['recipe']}.yaml").read_text()
    assert "weights: null # paper: pretrained on ImageNet" in text
    assert values["backbone"]["weights"] is None
    assert composed(word, "backbone.weights=a.pt")[1]["backbone"]["weights"] == "a.pt"
    assert "weights" not in composed(word, "backbone=resnet_small")[1]["backbone"]


def test_celeba_has_dmtgs_of_its_own_for_its_references_too() -> None:
    choices, values = composed("data=celeba", "method=dmtg")
    assert (choices["recipe"], choices["backbone"]) == ("celeba_dmtg", "celeba_resnet")
    assert choices["optimizer"] == "adam"
    assert values["optimizer"]["lr"] == 8e-4
    assert values["scheduler"]["epochs"] == [15, 30, 45, 60, 75, 90]
    assert values["scheduler"]["decay"] == 0.5
    assert (values["trainer"]["batch_size"], values["trainer"]["epochs"]) == (256, 100)
    assert (values["method"]["tau"], values["method"]["num_shared_stages"]) == (2.5, 0)
    others, alone = composed("method=single_task", "recipe=celeba_dmtg")
    assert others["data"] == "celeba"
    for group in ("backbone", "optimizer", "scheduler", "trainer"):
        assert alone[group] == values[group]


def test_taskonomy_has_dmtgs_and_the_methods_own_values_in_an_experiment() -> None:
    choices, values = composed("experiment=dmtg/taskonomy")
    assert (choices["recipe"], choices["method"]) == ("taskonomy_dmtg", "dmtg")
    assert values["optimizer"]["lr"] == 1e-3
    assert (values["trainer"]["batch_size"], values["trainer"]["epochs"]) == (24, 100)
    assert values["data"]["tasks"] == "five"
    assert (values["method"]["tau"], values["method"]["grad_scale"]) == (4.0, "code")
    _, alone = composed("method=single_task", "recipe=taskonomy_dmtg")
    for group in ("data", "backbone", "optimizer", "scheduler", "trainer"):
        assert alone[group] == values[group]
