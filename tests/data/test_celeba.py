import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mtlrun.core.data import DataError
from mtlrun.data._celeba_lists import ALL, ATTRIBUTES_FILE, NINE, PICTURES, SPLITS_FILE
from mtlrun.data.celeba import CelebA

NAMES = ("train", "val", "test")


@pytest.fixture(scope="module")
def miniature(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "celeba"
    CelebA.write_miniature(folder)
    return folder


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Six pictures of one colour each, two a split; attribute k of picture i is bit k of i."""
    (tmp_path / PICTURES).mkdir()
    rows, splits = [], []
    for i in range(6):
        name = f"{i + 1:06d}.png"
        Image.new("RGB", (5, 7), (40 * i, 0, 255)).save(tmp_path / PICTURES / name)
        rows.append(f"{name} " + " ".join("1" if i >> k & 1 else "-1" for k in range(3)))
        splits.append(f"{name} {i // 2}")
    header = f"{NINE[0]} {NINE[1]}  {NINE[2]}"
    write(tmp_path, ATTRIBUTES_FILE, ["6", header, *rows])
    write(tmp_path, SPLITS_FILE, splits)
    return tmp_path


def write(root: Path, name: str, lines: list[str]) -> None:
    (root / name).write_text("\n".join(lines) + "\n")


def change(root: Path, name: str, line: int, text: str | None) -> None:
    """Replaces a line of a list, counted from 1; None deletes it."""
    lines = (root / name).read_text().splitlines()
    lines[line - 1 : line] = [] if text is None else [text]
    write(root, name, lines)


def small(root: Path, **others: Any) -> CelebA:
    return CelebA(root=str(root), **({"attributes": list(NINE[:3]), "size": 4} | others))


def test_labels_and_pictures_are_those_of_the_files(made: Path) -> None:
    data = small(made)
    for code, name in enumerate(NAMES):
        batch = data.split(name).fetch([1, 0], seed=0)  # type: ignore[arg-type]  # a literal
        for row, i in enumerate((2 * code + 1, 2 * code)):
            assert isinstance(batch.inputs, torch.Tensor)
            color = torch.tensor([40 * i / 255, 0, 1])
            torch.testing.assert_close(batch.inputs[row], color[:, None, None].expand(3, 4, 4))
            found = [int(batch.targets[task][row]) for task in NINE[:3]]
            assert found == [i & 1, i >> 1 & 1, i >> 2 & 1]
        assert {target.dtype for target in batch.targets.values()} == {torch.int64}


def test_attributes_keep_the_order_that_is_asked_for(made: Path) -> None:
    data = small(made, attributes=[NINE[2], NINE[0]])
    assert [task.name for task in data.tasks] == [NINE[2], NINE[0]]
    targets = data.split("test").fetch([1], seed=0).targets
    assert [int(t) for t in targets.values()] == [1, 1]
    assert list(targets) == [NINE[2], NINE[0]]


def test_nine_and_all_attributes_are_the_papers() -> None:
    assert [task.name for task in CelebA().tasks] == list(NINE)
    assert len(CelebA(attributes="all").tasks) == len(set(ALL)) == 40
    assert set(NINE) < set(ALL)


def test_miniature_reads_back_with_all_attributes_balanced(miniature: Path) -> None:
    data = CelebA(root=str(miniature), attributes="all")
    assert [len(data.split(name)) for name in NAMES] == [24, 8, 8]  # type: ignore[arg-type]  # literals
    batch = data.split("train").fetch(range(24), seed=0)
    assert isinstance(batch.inputs, torch.Tensor)
    assert batch.inputs.shape == (24, 3, 64, 64)
    assert 0 <= batch.inputs.min() < batch.inputs.max() <= 1
    shares = torch.stack(list(batch.targets.values())).float().mean(dim=1)
    assert (shares < 0.8).all()
    assert (shares > 0.2).sum() > 30  # some classes are in few rooms


def test_attributes_of_the_miniature_can_be_seen(miniature: Path) -> None:
    batch = CelebA(root=str(miniature)).split("train").fetch(range(24), seed=0)
    assert isinstance(batch.inputs, torch.Tensor)
    for channel, name in enumerate(NINE[:3]):  # the whole picture's mean colours
        means = batch.inputs[:, channel].mean(dim=(1, 2))
        seen = torch.corrcoef(torch.stack([means, batch.targets[name].float()]))
        assert seen[0, 1] > 0.7, name


def test_miniature_has_no_faults_to_find(miniature: Path) -> None:
    found = list(small(miniature).check())
    assert not [f.text for f in found if f.is_error]
    assert any("24 pictures in the lists, 162770 in the published copy" in f.text for f in found)
    assert any("40 pictures of 218x178 pixels" in f.text for f in found)


def test_miniature_overwrites_nothing(made: Path) -> None:
    with pytest.raises(ValueError, match="without a copy of CelebA"):
        CelebA.write_miniature(made)


def test_memory_gives_the_same_pictures_and_reads_them_once(made: Path) -> None:
    data = small(made, cache="memory")
    expected = small(made).split("val").fetch([0, 1], seed=0).inputs
    assert torch.equal(data.split("val").fetch([0, 1], seed=0).inputs, expected)  # type: ignore[arg-type]
    for path in (made / PICTURES).iterdir():
        path.unlink()
    assert torch.equal(data.split("val").fetch([0, 1], seed=0).inputs, expected)  # type: ignore[arg-type]


def test_a_copy_in_another_process_reads_its_own(made: Path) -> None:
    split = small(made, cache="memory").split("train")
    expected = split.fetch([1], seed=0).inputs
    other = pickle.loads(pickle.dumps(split))
    assert torch.equal(other.fetch([1], seed=0).inputs, expected)


def test_identity_follows_the_lists_and_not_the_folder(made: Path, tmp_path: Path) -> None:
    before = small(made).identity()
    assert small(made, cache="memory", attributes=[NINE[1]]).identity() == before
    assert small(made, size=8).identity() != before
    change(made, SPLITS_FILE, 6, "000006.png 1")
    assert small(made).identity() != before


def test_mended_pictures_are_another_dataset(made: Path) -> None:
    before = small(made).identity()
    path = sorted((made / PICTURES).iterdir())[1]
    path.write_bytes(path.read_bytes() + b" ")
    assert small(made).identity() != before


def test_unknown_attributes_are_answered_with_near_ones() -> None:
    with pytest.raises(ValueError, match=r"Found `Smilling`. Did you mean `Smiling`"):
        CelebA(attributes=["Smilling"])


@pytest.mark.parametrize("attributes", [[], [NINE[0], NINE[0]], "five"])
def test_impossible_choices_of_attributes_are_refused(attributes: Any) -> None:
    with pytest.raises(ValueError, match=r"`attributes` should"):
        CelebA(attributes=attributes)


def test_a_missing_folder_says_what_should_be_in_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"list_attr_celeba.txt`, `list_eval_partition.*data.root"):
        small(tmp_path / "nowhere").split("train")


def test_a_missing_picture_is_named_with_its_line(made: Path) -> None:
    (made / PICTURES / "000004.png").unlink()
    assert len(small(made).split("train")) == 2
    with pytest.raises(
        DataError, match=r"no `000004.png` \(line 6 of `list_attr_celeba.txt`\); 1 of 2"
    ):
        small(made).split("val")


def test_a_truncated_picture_is_named_with_its_line(made: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (20, 20, 3), np.uint8)
    path = made / PICTURES / "000001.png"
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(DataError, match=r"000001.png` \(line 3 of .*should be a whole picture"):
        small(made).split("train").fetch([0], seed=0)
    errors = [f.text for f in small(made).check() if f.is_error]
    assert len(errors) == 1
    assert "000001.png" in errors[0]


@pytest.mark.parametrize(
    ("name", "line", "text", "message"),
    [
        (ATTRIBUTES_FILE, 1, "7", r"7 pictures that line 1 counts. Found 6"),
        (ATTRIBUTES_FILE, 1, "image_id,a,b", r"Found `image_id,a,b` in line 1"),
        (ATTRIBUTES_FILE, 4, "000002.png 1 -1", r"Line 4 of .*3 values of 1 or -1. Found 2 values"),
        (ATTRIBUTES_FILE, 5, "000003.png 1 0 -1", r"Line 5 of .*Found `0` for `Black_Hair`"),
        (ATTRIBUTES_FILE, 8, "000001.png 1 1 1", r"Found `000001.png` again in line 8"),
        (ATTRIBUTES_FILE, 2, "a a c", r"name each attribute once"),
        (ATTRIBUTES_FILE, 2, "a b c", r"Found no `5_o_Clock_Shadow`, `Black_Hair`, `Blond_Hair`"),
        (SPLITS_FILE, 3, "000003.png 3", r"Line 3 of .*Found `000003.png 3`"),
        (SPLITS_FILE, 3, "000003.png", r"Line 3 of .*0 \(train\), 1 \(validation\) or 2 \(test\)"),
        (SPLITS_FILE, 2, "000009.png 0", r"about `000002.png`, as line 4 of .*Found `000009.png`"),
        (SPLITS_FILE, 6, None, r"each of the 6 pictures of .*Found 5"),
    ],
)
def test_faults_of_the_lists_are_named(
    made: Path, name: str, line: int, text: str | None, message: str
) -> None:
    change(made, name, line, text)
    with pytest.raises(DataError, match=message):
        small(made).split("train")


def test_check_goes_on_where_files_are_missing(made: Path, tmp_path: Path) -> None:
    for path in (made / PICTURES).iterdir():
        path.unlink()
    errors = [f.text for f in small(made).check() if f.is_error]
    assert len(errors) == 6
    assert "1 more pictures" in errors[-1]
    (finding,) = small(tmp_path / "nowhere").check()
    assert finding.is_error
