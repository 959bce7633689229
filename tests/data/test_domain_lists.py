"""Splits of domains that lists say."""

from pathlib import Path
from typing import Any

import pytest

from mtlrun.core.data import DataError
from mtlrun.data.domainnet import DomainNet
from mtlrun.data.office_home import OfficeHome
from tests.data.domain_files import NUMBER, write_npys

CLASSES = (
    "Mug",
    "TV",
    "Table",
)  # in the order of file systems; the lists number them Mug, Table, TV
LABELS = {"Mug": 0, "Table": 1, "TV": 2}


def lines(domain: str, numbers: range, classes: tuple[str, ...] = CLASSES) -> str:
    """As the program's lists are written, whose paths are of another machine."""
    return "".join(
        f"/somewhere else/images/{domain}/{name}/{number:05d}.jpg {LABELS[name]}\n"
        for name in classes
        for number in numbers
    )


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Features of two domains; lists under names with `_` where the folders have a blank."""
    write_npys(tmp_path / "features", {"Art": 0, "Real World": 1}, CLASSES)
    for name in ("Art", "Real_World"):
        own = tmp_path / "lists" / name
        own.mkdir(parents=True)
        (own / "train.txt").write_text("not to be read")
        (own / "train_20.txt").write_text(lines(name, range(2)))
        (own / "test_20.txt").write_text(lines(name, range(2, NUMBER)))
    return tmp_path


def made(folder: Path, **others: Any) -> OfficeHome:
    told = {"features": str(folder / "features"), "lists": str(folder / "lists")}
    return OfficeHome(**(told | {"train_share": 0.2} | others))


def test_lists_say_what_is_trained_on_and_number_the_classes(home: Path) -> None:
    data = made(home)
    assert data.classes == ("Mug", "Table", "TV")
    inputs, classes = data.labelled("real_world")
    # By hand: rows of Mug, TV and Table are 0..5, 6..11 and 12..17.
    assert (inputs[:, 0] % 100).tolist() == [0, 1, 6, 7, 12, 13]
    assert classes.tolist() == [0, 0, 2, 2, 1, 1]
    tested = data.split("test").examples["art"]
    assert len(tested[1]) == 3 * (NUMBER - 2)
    assert not [finding.text for finding in data.check() if finding.is_error]


def test_a_share_without_a_list_is_told(home: Path) -> None:
    with pytest.raises(DataError, match=r"Art/train_5\.txt` should list examples"):
        made(home, train_share=0.05).split("train")


def test_a_listed_example_that_is_not_there_is_told(home: Path) -> None:
    (home / "features" / "Art" / "TV" / "00004.npy").unlink()
    with pytest.raises(DataError, match=r"no `TV/00004`; 1 of 12 are missing"):
        made(home).split("test")


def test_an_example_in_both_lists_is_told(home: Path) -> None:
    path = home / "lists" / "Art" / "test_20.txt"
    path.write_text(path.read_text() + lines("Art", range(1), ("TV",)))
    with pytest.raises(DataError, match=r"Found 1 in .*train_20.txt` that are in .*TV/00000"):
        made(home).split("train")


def test_a_class_that_is_not_listed_for_training_is_told(home: Path) -> None:
    (home / "lists" / "Art" / "train_20.txt").write_text(lines("Art", range(2), ("Mug", "TV")))
    with pytest.raises(DataError, match=r"an example of every class. Found none of Table"):
        made(home).split("train")


def test_labels_that_contradict_are_told(home: Path) -> None:
    path = home / "lists" / "Real_World" / "test_20.txt"
    path.write_text(path.read_text().replace("Mug/00003.jpg 0", "Mug/00003.jpg 1"))
    with pytest.raises(DataError, match=r"Found 0 and 1 for `Mug`"):
        made(home).split("train")


def test_labels_that_are_not_those_of_the_classes_are_told(home: Path) -> None:
    for path in (home / "lists").rglob("*_20.txt"):
        path.write_text(path.read_text().replace("jpg 2", "jpg 7"))
    with pytest.raises(DataError, match=r"the labels 0\.\.2. Found 3 classes with labels 0\.\.7"):
        made(home).split("train")


@pytest.mark.parametrize("line", ["Mug.jpg 0", "Art/Mug/00000.jpg", "Art/Mug/00000.jpg one"])
def test_malformed_lines_are_told_with_their_number(home: Path, line: str) -> None:
    path = home / "lists" / "Art" / "train_20.txt"
    path.write_text(lines("Art", range(1)) + line + "\n")
    with pytest.raises(DataError, match=r"Line 4 of .*Art/train_20\.txt` should hold"):
        made(home).split("train")


def test_lists_need_files_with_names(home: Path, tmp_path: Path) -> None:
    OfficeHome.write_miniature(tmp_path / "own")
    from mtlrun.data._domain_miniature import write_mat

    for name in ("Art", "Real World"):
        write_mat(tmp_path / "mats" / f"{name}.mat", name, 65)
    with pytest.raises(DataError, match=r"Lists"):
        made(home, features=str(tmp_path / "mats")).split("train")


def test_a_share_of_domainnet_s_training_list_is_trained_on(tmp_path: Path) -> None:
    DomainNet.write_miniature(tmp_path)
    told: Any = {"root": str(tmp_path), "lists": str(tmp_path)}
    whole = DomainNet(train_share=1.0, **told)
    half = DomainNet(train_share=0.5, **told)
    for task in whole.tasks:
        sizes = [
            len(own.split(s).examples[task.name][1])
            for own in (whole, half)
            for s in ("train", "test")
        ]  # type: ignore[arg-type]
        assert sizes == [30, 10, 15, 10]  # 6 and 2 of 8; 3 of 6
        assert set(half.rows[task.name].train) < set(whole.rows[task.name].train)
