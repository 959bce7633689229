"""Features of domains: what is read, how it is split, and what is wrong with files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mtlrun.cli import main
from mtlrun.core.data import ClassAligned, DataError, SplitName
from mtlrun.data._domains import SPLITS
from mtlrun.data.domainnet import DomainNet
from mtlrun.data.imageclef import ImageCLEF
from mtlrun.data.office_caltech import CLASSES, OfficeCaltech
from mtlrun.data.office_home import OfficeHome
from tests.data.domain_files import (
    DOMAINS,
    NUMBER,
    WIDTH,
    features,
    write_mat,
    write_mats,
    write_npys,
)

MINIATURES = {
    "office_caltech": OfficeCaltech,
    "office_home": OfficeHome,
    "imageclef": ImageCLEF,
    "domainnet": DomainNet,
}


@pytest.fixture(scope="module")
def miniatures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("domains")
    for name, kind in MINIATURES.items():
        kind.write_miniature(folder / name)
    return folder


@pytest.fixture(scope="module")
def mats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mats(tmp_path_factory.mktemp("mats"))


def caltech(folder: Path, **others: Any) -> OfficeCaltech:
    return OfficeCaltech(features=str(folder), **others)


def numbers(data: Any, split: SplitName, task: str) -> list[int]:
    """Which examples of a domain are in a split."""
    return [int(x) % 100 for x in data.split(split).examples[task][0][:, 0]]


# What is read.


def test_features_and_classes_are_those_of_the_files(mats: Path) -> None:
    data = caltech(mats)
    assert isinstance(data, ClassAligned)
    assert [task.name for task in data.tasks] == list(DOMAINS)
    assert data.classes == CLASSES
    assert data.inputs.shape == (WIDTH,)
    assert {task.output.channels for task in data.tasks} == {10}
    for k, name in enumerate(DOMAINS):
        values, labels = features(k)
        inputs, classes = data.split("test").examples[name]
        rows = numbers(data, "test", name)
        assert np.array_equal(inputs.numpy(), values[rows])
        assert classes.tolist() == labels[rows].tolist()


def test_domains_are_those_that_have_a_file_or_those_asked_for_in_their_order(mats: Path) -> None:
    assert [t.name for t in caltech(mats, domains=["dslr", "amazon"]).tasks] == ["dslr", "amazon"]


def test_files_are_found_by_the_beginning_of_their_names(tmp_path: Path) -> None:
    for name in ("Caltech10_SURF_L10", "dslr_SURF_L10"):
        values, labels = features(0)
        write_mat(tmp_path / f"{name}.mat", values, labels + 1)
    assert [task.name for task in caltech(tmp_path).tasks] == ["dslr", "caltech10"]


def test_labels_may_count_from_zero(tmp_path: Path) -> None:
    zero = {name: features(k) for k, name in enumerate(DOMAINS)}
    data = caltech(write_mats(tmp_path, **zero))
    assert set(data.labelled("dslr")[1].tolist()) == set(range(10))


def test_npy_files_are_read_by_class_and_domain(tmp_path: Path) -> None:
    folder = write_npys(tmp_path / "images", {"Art": 0, "Real_World": 1}, ("Mug", "TV", "Table"))
    for where in (tmp_path, folder):
        data = OfficeHome(features=str(where), train_share=0.5)
        assert [task.name for task in data.tasks] == ["art", "real_world"]
        assert data.classes == ("Mug", "TV", "Table")
        values, labels = features(1, 3)
        rows = numbers(data, "train", "real_world")
        inputs, classes = data.labelled("real_world")
        assert np.array_equal(inputs.numpy(), values[rows])
        assert classes.tolist() == labels[rows].tolist()
        assert len(rows) == 3 * NUMBER // 2


def test_a_descriptor_is_a_folder_without_its_number(tmp_path: Path) -> None:
    write_mats(tmp_path / "surf")
    assert caltech(tmp_path).inputs.shape == (WIDTH,)  # the only one
    write_mats(tmp_path / "GoogleNet1024")
    assert caltech(tmp_path, descriptor="googlenet").features == tmp_path
    with pytest.raises(
        ValueError, match=r"one of the folders of .*googlenet, surf. Found `descriptor = surv`. Did"
    ):
        caltech(tmp_path, descriptor="surv")
    with pytest.raises(ValueError, match=r"Found `descriptor = null`. Set data.descriptor"):
        caltech(tmp_path)


@pytest.mark.parametrize("name", MINIATURES)
def test_a_miniature_is_whole_and_the_same_in_every_fetch(miniatures: Path, name: str) -> None:
    one, other = (MINIATURES[name](root=str(miniatures / name)) for _ in range(2))
    assert not [finding.text for finding in one.check() if finding.is_error]
    assert one.identity() == other.identity()
    for split in SPLITS:
        whole = one.split(split).fetch(range(len(one.split(split))), seed=1)
        part = other.split(split).fetch([3, 0], seed=1)
        for a, b in zip(whole.tensors(), part.tensors(), strict=True):
            assert torch.equal(a[[3, 0]], b)
            assert a.isfinite().all()
        assert list(whole.targets) == [task.name for task in one.tasks]
    with pytest.raises(ValueError, match=f"without a copy of {name}"):
        MINIATURES[name].write_miniature(miniatures / name)


# How it is split.


@pytest.mark.parametrize(("share", "expected"), [(0.05, 1), (0.2, 1), (0.25, 2), (0.6, 4)])
def test_a_share_of_each_class_is_trained_on_and_the_rest_is_tested(
    mats: Path, share: float, expected: int
) -> None:
    data = caltech(mats, train_share=share)  # round(share * 6), at least 1
    for name in DOMAINS:
        train, test = (numbers(data, split, name) for split in ("train", "test"))  # type: ignore[arg-type]
        assert sorted(train + test) == list(range(10 * NUMBER))
        assert np.bincount(np.array(train) // NUMBER).tolist() == [expected] * 10


def test_splits_follow_the_seed_and_no_other_domain(mats: Path) -> None:
    first = numbers(caltech(mats), "train", "dslr")
    assert numbers(caltech(mats, domains=["dslr"]), "train", "dslr") == first
    assert numbers(caltech(mats, split_seed=1), "train", "dslr") != first
    assert numbers(caltech(mats), "train", "amazon") != first


def test_val_is_what_is_trained_on_held_out_or_tested(mats: Path) -> None:
    train = caltech(mats, train_share=0.5)
    assert numbers(train, "val", "dslr") == numbers(train, "train", "dslr")
    assert (train.trained_on_val, train.test_is_val) == ("data.val_per_class=1", None)
    test = caltech(mats, train_share=0.5, val="test")
    assert numbers(test, "val", "dslr") == numbers(test, "test", "dslr")
    assert (test.trained_on_val, test.test_is_val) == (None, "data.val=test")
    held = caltech(mats, train_share=0.5, val_per_class=1)
    assert (held.trained_on_val, held.test_is_val) == (None, None)
    parts = [numbers(held, split, "dslr") for split in SPLITS]
    assert [len(own) for own in parts] == [20, 10, 30]
    assert sorted(parts[0] + parts[1] + parts[2]) == list(range(60))
    assert sorted(parts[0] + parts[1]) == numbers(train, "train", "dslr")


def test_a_pass_has_four_of_every_class_and_task(mats: Path) -> None:
    data = caltech(mats, train_share=0.6)
    batch = data.split("train").fetch(range(40), seed=0)
    for name in DOMAINS:
        assert batch.targets[name].tolist() == np.repeat(np.arange(10), 4).tolist()
        own = batch.inputs[name]  # type: ignore[index,call-overload]  # a mapping
        assert len(set(own[:, 0].tolist())) == 40


def test_identity_follows_the_examples_and_not_the_folder(mats: Path, tmp_path: Path) -> None:
    first = caltech(mats).identity()
    assert caltech(write_mats(tmp_path)).identity() == first
    for others in ({"split_seed": 1}, {"train_share": 0.5}, {"val": "test"}, {"scale": "l2"}):
        assert caltech(mats, **others).identity() != first
    values, labels = features(2)
    values[3, 4] += 1
    write_mat(tmp_path / "dslr.mat", values, labels + 1)
    assert caltech(tmp_path).identity() != first


def test_scales_use_training_examples_only(mats: Path) -> None:
    plain, unit, standard = (
        caltech(mats, train_share=0.5, scale=scale) for scale in ("none", "l2", "zscore")
    )
    train, test = (plain.split(s).examples["dslr"][0] for s in ("train", "test"))  # type: ignore[arg-type]
    found = unit.split("test").examples["dslr"][0]
    torch.testing.assert_close(found.square().mean(1), torch.ones(len(found)))
    torch.testing.assert_close(found / found[:, :1], test / test[:, :1])
    for split, values in (("train", train), ("test", test)):
        expected = (values - train.mean(0)) / train.std(0, correction=0)
        found = standard.split(split).examples["dslr"][0]  # type: ignore[arg-type]
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


# What is wrong with files.


def wrong(folder: Path, **others: Any) -> str:
    """The error about a folder, which the split tells and the check shows."""
    data = caltech(folder, **others)
    with pytest.raises(DataError) as caught:
        data.split("train")
    shown = [finding.text for finding in data.check() if finding.is_error]
    assert shown == [str(caught.value)]
    return str(caught.value)


def test_a_missing_folder_is_told_with_the_layout(tmp_path: Path) -> None:
    told = wrong(tmp_path / "nowhere")
    assert "DOMAIN/CLASS/NAME" in wrong(tmp_path)
    assert "a folder of features" in told
    assert "data.features" in told
    with pytest.raises(DataError, match=r"a folder of pictures.*DOMAIN/CLASS/NAME\.jpg"):
        OfficeCaltech(root=str(tmp_path)).split("train")


def test_domains_of_different_widths_are_refused(tmp_path: Path) -> None:
    values, labels = features(2)
    told = wrong(write_mats(tmp_path, dslr=(values[:, :3], labels + 1)))
    assert "equally wide" in told
    assert "5 in amazon, 5 in webcam, 3 in dslr, 5 in caltech10" in told


def test_a_class_that_a_domain_lacks_is_named(tmp_path: Path) -> None:
    values, labels = features(2)
    kept = labels != 8
    told = wrong(write_mats(tmp_path, dslr=(values[kept], labels[kept] + 1)))
    assert "no example of mug in dslr" in told
    assert len(caltech(tmp_path, domains=["amazon", "webcam"]).split("train")) == 40


def test_a_class_with_too_few_examples_for_the_splits_is_named(tmp_path: Path) -> None:
    values, labels = features(2)
    few = (labels != 3) | (np.arange(len(labels)) % NUMBER == 0)
    write_mats(tmp_path, dslr=(values[few], labels[few] + 1))
    assert "Found 1 of `headphones` in dslr" in wrong(tmp_path)
    told = wrong(tmp_path, domains=["amazon"], val_per_class=1)
    assert "Found 1 of `backpack` in amazon" in told
    assert "data.val_per_class" in told


@pytest.mark.parametrize("domain", ["webcam", "amazon"])
def test_files_without_the_keys_say_which_they_have(tmp_path: Path, domain: str) -> None:
    write_mats(tmp_path)
    from scipy.io import savemat

    savemat(tmp_path / f"{domain}.mat", {"feas": features(0)[0], "label": np.ones((60, 1))})
    told = wrong(tmp_path)
    assert f"{domain}.mat" in told
    assert "Found the keys `feas`, `label`" in told


def test_damaged_files_are_named(tmp_path: Path) -> None:
    write_mats(tmp_path)
    (tmp_path / "dslr.mat").write_bytes(b"nothing of the kind, but long enough for a header" * 4)
    assert "dslr.mat` should be a whole MAT file" in wrong(tmp_path)


@pytest.mark.parametrize("label", [-1, 11])
def test_labels_out_of_range_are_refused(tmp_path: Path, label: int) -> None:
    values, labels = features(1)
    labels = labels + 1
    labels[5] = label
    assert f"{min(label, 1)}..{max(label, 10)}" in wrong(
        write_mats(tmp_path, webcam=(values, labels))
    )


def test_labels_and_features_of_different_numbers_are_refused(tmp_path: Path) -> None:
    values, labels = features(1)
    assert "[60, 5] and 59 classes" in wrong(write_mats(tmp_path, webcam=(values, labels[1:] + 1)))


def test_numbers_that_are_none_are_refused(tmp_path: Path) -> None:
    values, labels = features(1)
    values[7:9, 2] = np.nan
    write_mats(tmp_path, webcam=(values, labels + 1))
    with pytest.raises(DataError, match=r"finite numbers. Found \d+ of \d+ examples of webcam"):
        caltech(tmp_path).identity()  # of all splits
    (fault,) = [finding.text for finding in caltech(tmp_path).check() if finding.is_error]
    assert "Found 2 of 60 examples of webcam" in fault


@pytest.mark.parametrize("place", [0, 2])
@pytest.mark.parametrize("values", [np.zeros((1, WIDTH)), np.zeros(())])
def test_npy_files_that_are_no_row_are_named(tmp_path: Path, values: Any, place: int) -> None:
    write_npys(tmp_path, {"Art": 0}, ("Mug", "TV"))
    path = tmp_path / "Art" / "Mug" / f"{place:05d}.npy"
    np.save(path, values)
    with pytest.raises(DataError, match=f"Art/Mug/{place:05d}.npy` should hold"):
        OfficeHome(features=str(tmp_path)).identity()


def test_npy_files_of_another_width_or_none_at_all_are_named(tmp_path: Path) -> None:
    write_npys(tmp_path, {"Art": 0}, ("Mug", "TV"))
    path = tmp_path / "Art" / "TV" / "00001.npy"
    for content in (np.zeros(WIDTH + 1), None):
        np.save(path, content) if content is not None else path.write_bytes(b"nothing")
        with pytest.raises(DataError, match=r"Art/TV/00001\.npy` should"):
            OfficeHome(features=str(tmp_path)).identity()


def test_domains_that_are_asked_for_and_not_there_are_named(tmp_path: Path) -> None:
    write_mats(tmp_path)
    (tmp_path / "dslr.mat").unlink()
    assert [task.name for task in caltech(tmp_path).tasks] == ["amazon", "webcam", "caltech10"]
    assert "Found no dslr" in wrong(tmp_path, domains=["amazon", "dslr"])


def test_two_files_of_a_domain_are_refused(tmp_path: Path) -> None:
    write_mats(tmp_path)
    (tmp_path / "dslr.mat").rename(tmp_path / "dslr_a.mat")
    write_mat(tmp_path / "dslr_b.mat", *features(0))
    assert "should have dslr of `office_caltech` once" in wrong(tmp_path)


@pytest.mark.parametrize(
    ("others", "told"),
    [
        ({"domains": ["amazn"]}, r"Found `amazn`. Did you mean `amazon`"),
        ({"domains": []}, r"one or more domains"),
        ({"domains": ["dslr", "dslr"]}, r"each once"),
        ({"train_share": 0.0}, r"Set data.train_share"),
        ({"train_share": 1.5}, r"Set data.train_share"),
        ({"val_per_class": -1}, r"data.val_per_class"),
        ({"val_per_class": 1, "val": "test"}, r"`val = test`"),
        ({"per_class": 0}, r"data.per_class"),
        ({"image_size": 4}, r"data.image_size"),
    ],
)
def test_bad_settings_are_named(mats: Path, others: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        caltech(mats, **others)


def test_exit_codes_tell_data_from_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_mats(tmp_path / "surf")
    write_mats(tmp_path / "googlenet", dslr=(np.ones((4, 2)), np.ones(4)))
    words = ["data", "office_caltech", "--check", f"data.features={tmp_path}"]
    assert main([*words, "data.descriptor=surf"]) == 0
    assert "amazon: 60 examples (958 in the published copy)" in capsys.readouterr().out
    assert main([*words, "data.descriptor=googlenet"]) == 3
    assert main([*words, "data.descriptor=googlnet"]) == 2
    assert "Did you mean `googlenet`" in capsys.readouterr().err


# The real features.


@pytest.mark.data
@pytest.mark.parametrize(
    ("descriptor", "width", "names"),
    [
        ("surf", 800, ["amazon", "webcam", "dslr", "caltech10"]),
        ("googlenet", 1024, ["amazon", "webcam", "dslr"]),
        ("caffenet", 4096, ["dslr"]),
    ],
)
def test_published_features_are_read(
    real_data: Path, descriptor: str, width: int, names: list[str]
) -> None:
    data = caltech(real_data / "office_caltech10" / "features", descriptor=descriptor)
    assert data.inputs.shape == (width,)
    assert [task.name for task in data.tasks] == names
    for task in names:
        total = OfficeCaltech.layout.counts[task]
        assert len(numbers(data, "train", task)) + len(numbers(data, "test", task)) == total
    # By hand: dslr's classes have 8 to 24 examples, of which 5 % is 1, at least and at most.
    assert torch.bincount(data.labelled("dslr")[1]).tolist() == [1] * 10
    assert not [finding.text for finding in data.check() if finding.is_error]


@pytest.mark.data
def test_published_features_separate_the_classes(real_data: Path) -> None:
    data = OfficeCaltech(
        root=str(real_data / "office_caltech10"), descriptor="googlenet", train_share=0.2
    )
    for task in data.tasks:
        inputs, classes = data.labelled(task.name)
        means = torch.stack([inputs[classes == c].mean(0) for c in range(10)])
        tested, expected = data.split("test").examples[task.name]
        accuracy = (torch.cdist(tested, means).argmin(1) == expected).float().mean()
        assert accuracy > 0.93, task.name
