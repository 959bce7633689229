"""VMTL and its baselines through the engine, and what every setting of their files does."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from mtlrun._catalogue import conf_folder
from mtlrun._config_check import ConfigError
from mtlrun.config import build, compose
from mtlrun.core.method import Method
from mtlrun.engine.interrupt import Interrupted
from mtlrun.engine.pipeline import run
from mtlrun.methods._idle_settings import idle_settings
from mtlrun.methods._variational import VariationalMethod
from mtlrun.methods.bmtl import BMTL
from mtlrun.methods.vbmtl import VBMTL
from mtlrun.methods.vmtl import VMTL
from mtlrun.methods.vmtl_ac import VMTLAC
from mtlrun.methods.vstl import VSTL
from mtlrun.updates.variational import Divergences, Temperature, Variational
from tests.domains import Steps, batch_of, domains, network
from tests.toy import ToyData, toy_setup

METHODS: dict[str, type[Method]] = {
    "vmtl": VMTL, "vmtl_ac": VMTLAC, "vbmtl": VBMTL, "vstl": VSTL, "bmtl": BMTL,
}  # fmt: skip
OTHERS: dict[str, Any] = {  # another value of every setting of networks
    "prior": "mean", "prior_form": "mixture", "z_net": "linear", "latent": 4, "hidden": 5,
    "dropout": 0.1, "bayesian_z": False, "bayesian_w": False, "shared_mixing": True,
    "detach_prior": False, "num_z": 3, "num_w": 3, "pairing": "product", "num_test": 3,
}  # fmt: skip
RULES: dict[str, Any] = {
    "divergences.z": Divergences(z=0.5), "divergences.w": Divergences(w=0.5),
    "divergences.w_schedule": Divergences(w_schedule="constant"),
    "divergences.w_every": Divergences(w_every=1), "temperature.start": Temperature(start=3.0),
    "temperature.floor": Temperature(floor=0.9), "temperature.rate": Temperature(rate=0.5),
    "temperature.every": Temperature(every=2), "temperature.repeats": Temperature(repeats=1),
    "order": "joint", "per_task_optimizers": True,
}  # fmt: skip
FAST = {"rate": 0.02, "every": 4}  # so that temperatures fall within few steps
LOUD = {"w": 0.1, "w_every": 3, "z": 0.1}


def keys_of(method: str) -> list[str]:
    values = yaml.safe_load((conf_folder() / "method" / f"{method}.yaml").read_text())
    found = []
    for key, value in values.items():
        if key in ("defaults", "_target_"):
            continue
        nested = value if isinstance(value, dict) else {"": None}
        found += [f"{key}.{name}".rstrip(".") for name in nested if name != "_target_"]
    return found


@pytest.mark.parametrize("method", METHODS)
def test_every_setting_of_a_file_reaches_networks_or_steps(method: str) -> None:
    make: Any = METHODS[method]
    for key in keys_of(method):
        beside = {"pairing": "product"} if key in ("num_z", "num_w") else {}
        plain = make(**beside)
        changed = make(**beside, **{key.split(".")[0]: (OTHERS | RULES)[key]})
        assert (changed.network, changed.rule) != (plain.network, plain.rule), key


def trained(*, rule: dict[str, Any] | None = None, **network_of: Any) -> Any:
    """Weights, and predictions in evaluation, after 12 steps."""
    data = domains()
    settings: dict[str, Any] = {
        "divergences": Divergences(**LOUD), "temperature": Temperature(**FAST),
    }  # fmt: skip
    torch.manual_seed(0)
    model = network(data, **network_of)
    Steps(data, model, Variational(**(settings | (rule or {})))).take(0, 12)
    shown = model.eval()(batch_of(data).inputs, list(model.names))
    return list(model.parameters()), list(shown.values())


def are_same(one: Any, other: Any) -> bool:
    return all(
        len(a) == len(b) and all(map(torch.equal, a, b)) for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("key", OTHERS)
def test_every_setting_of_the_network_has_an_effect(key: str) -> None:
    beside = {"pairing": "product"} if key in ("num_z", "num_w") else {}
    assert are_same(trained(**beside), trained(**beside))
    assert not are_same(trained(**beside), trained(**beside, **{key: OTHERS[key]}))


@pytest.mark.parametrize("key", RULES)
def test_every_setting_of_the_steps_has_an_effect(key: str) -> None:
    group, _, name = key.partition(".")
    value = RULES[key]
    if name:
        own = LOUD if group == "divergences" else FAST
        value = type(value)(**(own | {name: getattr(value, name)}))
    assert not are_same(trained(), trained(rule={group: value}))


def test_a_single_tasks_steps_have_no_order() -> None:
    assert not {"order", "per_task_optimizers"} & set(keys_of("vstl"))
    with pytest.raises(ConfigError, match="order"):
        compose(["method=vstl", "method.order=joint"])


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("dropout=1", "`dropout` should be 0 or more and below 1"),
        ("latent=0", "`latent` should be at least 1"),
        ("hidden=-3", "`hidden` should be at least 1"),
        ("num_z=0", "`num_z` and `num_w` should be 1 or more"),
        ("num_w=3", "Paired draws"),
        ("per_task_optimizers=true", "method.order=per_task"),
    ],
)
def test_numbers_out_of_range_are_refused_before_any_work(word: str, message: str) -> None:
    order = ["method.order=joint"] if "per_task" in word else []
    with pytest.raises(ConfigError, match=message):
        build(compose(["method=vmtl", f"method.{word}", *order]))


SILENT: dict[str, Any] = {"temperature": Temperature(start=2.0), "prior_form": "mixture"}


@pytest.mark.parametrize(
    ("method", "names"),
    [
        (VMTL(), []),
        (VMTL(prior="mean", bayesian_w=False), []),
        (VMTL(z_net="linear", hidden=7), ["hidden"]),
        (VMTLAC(z_net="linear", hidden=7), []),
        (VMTL(prior="mean", **SILENT), ["temperature"]),
        (VMTL(prior="normal", **SILENT), ["prior_form", "temperature"]),
        (VMTL(bayesian_w=False, shared_mixing=True), ["shared_mixing"]),
        (VBMTL(bayesian_z=False, pairing="product", num_z=3), ["num_z"]),
        (VSTL(bayesian_w=False, divergences=Divergences(w=1.0)), ["divergences.w"]),
        (
            VSTL(divergences=Divergences(w=1.0, w_every=2, w_schedule="constant")),
            ["divergences.w_every"],
        ),
        (BMTL(z_net="linear", hidden=7), ["hidden"]),
        (BMTL(), []),
    ],
)
def test_settings_without_effect_are_named(method: VariationalMethod, names: list[str]) -> None:
    assert [name for name, _ in idle_settings(method.network, method.rule)] == names


def test_a_setting_without_effect_is_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome(tmp_path, "method=bmtl", "method.z_net=linear")  # hidden=6 by `outcome`
    said = "Warning: `method.hidden` has no effect with method.z_net=linear."
    assert said in capsys.readouterr().err


def outcome(folder: Path, *words: str) -> dict[str, Any]:
    """The result of a small run of 6 steps."""
    composed = compose(
        [
            "trainer.epochs=6", "trainer.log_every=1", "trainer.eval_every=6",
            "trainer.device=cpu", "method.latent=6", "method.hidden=6", "data.width=6", "data.num_classes=3", f"folder={folder / 'run'}",
            f"store={folder / 'store'}", *words,
        ]
    )  # fmt: skip
    return dict(run(build(composed)).result)


def weights_of(folder: Path, result: dict[str, Any]) -> dict[str, torch.Tensor]:
    found = {}
    for training in result["trainings"]:
        state = torch.load(folder / "store" / training["key"] / "model.pt", weights_only=True)
        found |= {f"{'+'.join(training['tasks'])}/{name}": own for name, own in state.items()}
    return found


def test_learned_mixing_weights_are_in_the_result(tmp_path: Path) -> None:
    result = outcome(tmp_path, "method=vmtl", "method.divergences.w=0.1")
    (training,) = result["trainings"]
    for name in ("mixing_z", "mixing_w"):
        own = training["learned"][name]
        assert list(own) == training["tasks"]
        assert all(sum(shares.values()) == pytest.approx(1.0) for shares in own.values())
        assert all(task not in shares for task, shares in own.items())
    json.dumps(training["learned"])


def stop_once(self: Any, *, epoch_ended: bool = False) -> None:
    if self.standing.step == 3:
        self.checkpoint()
        raise Interrupted(15)


@pytest.mark.parametrize("method", METHODS)
def test_an_interrupted_run_ends_with_the_same_weights(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = outcome(tmp_path / "whole", f"method={method}")
    with monkeypatch.context() as patched:
        patched.setattr("mtlrun.engine.fit.Training._checkpoint_if_due", stop_once)
        with pytest.raises(Interrupted):
            outcome(tmp_path / "cut", f"method={method}")
    assert not (tmp_path / "cut" / "run" / "result.json").exists()
    resumed = outcome(tmp_path / "cut", f"method={method}")
    expected = weights_of(tmp_path / "whole", whole)
    found = weights_of(tmp_path / "cut", resumed)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert resumed["scores"] == whole["scores"]
    assert len(whole["scores"]["test"]) == 4
    assert [len(t["tasks"]) for t in whole["trainings"]] == ([1] * 4 if method == "vstl" else [4])


@pytest.mark.parametrize("method", ["vmtl", "vmtl_ac", "vstl"])
@pytest.mark.parametrize("num_domains", [1, 2])
def test_one_and_two_tasks_are_trained(method: str, num_domains: int, tmp_path: Path) -> None:
    result = outcome(tmp_path, f"method={method}", f"data.num_domains={num_domains}")
    assert len(result["scores"]["val"]) == num_domains


@pytest.mark.parametrize("method", [VMTL(), BMTL()], ids=["vmtl", "bmtl"])
def test_other_data_is_refused_before_any_work(
    method: Method, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mtlrun.engine.lab.Workbench.fit", None)
    with pytest.raises(ValueError, match="Set data=multi_domain_toy, office_caltech"):
        run(toy_setup(tmp_path, method=method, data=ToyData()))


def test_scenes_are_refused_before_any_work(tmp_path: Path) -> None:
    words = ["method=vmtl", "data=scenes", f"folder={tmp_path / 'run'}"]
    with pytest.raises(ValueError, match=r"classes in common\. Found data of Scenes"):
        run(build(compose([*words, "trainer.device=cpu", "data.num_train=2"])))


def test_a_weighting_is_refused() -> None:
    with pytest.raises(ConfigError, match="weighting=mgda"):
        compose(["method=vmtl", "weighting=mgda"])


def test_a_missing_class_is_an_error_with_the_task(tmp_path: Path) -> None:
    data = domains()
    labelled = data.labelled

    def without(task: str) -> Any:
        inputs, classes = labelled(task)
        keep = (classes != 2) if task == "domain_1" else torch.ones_like(classes, dtype=torch.bool)
        return inputs[keep], classes[keep]

    data.labelled = without  # type: ignore[method-assign]  # stands for files that lack it
    with pytest.raises(ValueError, match="Found none of class 2 for task 1"):
        run(toy_setup(tmp_path, method=VMTL(latent=4, hidden=4), data=data))
