"""Features of pictures: which crops, how often they are computed, and weights."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mtlrun.core.data import DataError
from mtlrun.data import _image_features
from mtlrun.data._feature_encoder import MEAN, STD, FeatureEncoder, width_of
from mtlrun.data._image_features import Extraction
from mtlrun.data.imageclef import ImageCLEF
from mtlrun.data.office_home import OfficeHome

TINY = {"encoder": "test_resnet", "encoder_weights": "random", "image_size": 32}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures") / "office_home"
    OfficeHome.write_miniature(folder)
    return folder


def made(root: Path, cache: Path, **others: Any) -> OfficeHome:
    told = {"root": str(root), "cache_dir": str(cache), "domains": ["art", "real_world"]}
    return OfficeHome(**(told | TINY | others))


class Corners:
    """Features that are the crop's corner and width: pixels hold their own place."""

    name, digest, width = "corners", "1", 3

    def __call__(self, pictures: torch.Tensor) -> torch.Tensor:
        pixels = (pictures * 255).round()
        first, last = pixels[:, 0, 0, 0], pixels[:, 0, 0, -1]
        return torch.stack(
            [torch.minimum(first, last), pixels[:, 1, 0, 0], (first > last) * 1.0], 1
        )


def crops(folder: Path, crop: Any, count: int = 200) -> np.ndarray[Any, Any]:
    """[n, 3] left and top corner and whether it is mirrored, of crops of 28 pixels out of 32x40."""
    pixels = np.zeros((32, 40, 3), np.uint8)
    pixels[..., 0], pixels[..., 1] = np.arange(40), np.arange(32)[:, None]
    path = folder / "p.png"
    Image.fromarray(pixels).save(path)
    extraction = Extraction(Corners, 28, (crop, crop), folder / "c", "a/b")  # type: ignore[arg-type,return-value]
    return extraction.extract([path] * count, [str(k) for k in range(count)], crop)


def test_central_crops_are_central_and_never_mirrored(tmp_path: Path) -> None:
    assert (crops(tmp_path, "center") == [6, 2, 0]).all()


def test_random_crops_are_anywhere_and_mirrored_half_of_the_time(tmp_path: Path) -> None:
    found = crops(tmp_path, "random", 600)
    assert set(found[:, 0]) == set(range(13))
    assert set(found[:, 1]) == set(range(5))
    assert abs(found[:, 2].mean() - 0.5) < 0.08


def test_features_of_training_pictures_are_of_random_crops_and_others_of_central_ones(
    home: Path, tmp_path: Path
) -> None:
    paper, center = (
        made(home, tmp_path, train_share=0.5),
        made(home, tmp_path, train_share=0.5, crop="center"),
    )
    assert paper.inputs.shape == center.inputs.shape == (width_of("test_resnet"),)
    for split, same in (("train", False), ("val", True), ("test", True)):
        one, other = (own.split(split).examples["art"][0] for own in (paper, center))  # type: ignore[arg-type]
        assert torch.equal(one, other) == same
    assert torch.equal(
        center.split("train").examples["art"][0], center.split("val").examples["art"][0]
    )


def test_features_are_computed_once_also_in_another_run(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = made(home, tmp_path).identity()
    monkeypatch.setattr(Extraction, "_encoded", lambda *_: pytest.fail("computed again"))
    assert made(home, tmp_path).identity() == first
    made(home, tmp_path, split_seed=1).split("test")  # central crops are of all pictures


def test_another_encoder_size_or_picture_is_another_file(home: Path, tmp_path: Path) -> None:
    for others in ({}, {"image_size": 40}, {"encoder": "test_vit", "image_size": 160}):
        before = len(list(tmp_path.glob("*.npz")))
        made(home, tmp_path, domains=["art"], **others).split("test")
        assert len(list(tmp_path.glob("*.npz"))) == before + 1


def test_an_interrupted_extraction_goes_on_with_its_finished_parts(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(_image_features, "SHARD", 20)
    encoded, calls = Extraction._encoded, []

    def fails_at_the_third(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return encoded(*arguments)

    monkeypatch.setattr(Extraction, "_encoded", fails_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        made(home, tmp_path, domains=["art"]).split("test")
    with caplog.at_level("INFO", "mtlrun"):
        found = made(home, tmp_path, domains=["art"]).split("test").examples["art"][0]
    assert len(calls) == 4  # 20, 20 and 8 pictures
    assert "office_home/art: center crops, pictures 40..48 of 48" in caplog.text
    monkeypatch.setattr(Extraction, "_encoded", encoded)
    whole = made(home, tmp_path / "other", domains=["art"]).split("test").examples["art"][0]
    torch.testing.assert_close(found, whole, rtol=1e-5, atol=1e-5)


def test_a_damaged_file_is_made_anew(
    home: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = made(home, tmp_path, domains=["art"]).split("test").examples["art"][0]
    (path,) = tmp_path.glob("*.npz")
    path.write_bytes(path.read_bytes()[:1000])
    again = made(home, tmp_path, domains=["art"]).split("test").examples["art"][0]
    assert torch.equal(first, again)
    assert "is damaged" in caplog.text


def test_pictures_without_weights_are_refused_with_ways_out(home: Path, tmp_path: Path) -> None:
    data = OfficeHome(root=str(home), features=None, encoder_weights=str(tmp_path / "w.pth"))
    with pytest.raises(ValueError, match=r"Found no file at .*w\.pth.*data\.encoder_weights"):
        data.split("test")
    with pytest.raises(ValueError, match=r"Found `encoder_weights = null`.*data\.features"):
        FeatureEncoder("test_resnet", None)


def test_weights_are_those_of_the_file_whose_classifier_is_left_aside(tmp_path: Path) -> None:
    import timm

    network = timm.create_model("test_resnet", pretrained=False, num_classes=7).eval()
    torch.save(network.state_dict(), tmp_path / "w.pth")
    encoder = FeatureEncoder("test_resnet", str(tmp_path / "w.pth"))
    pictures = torch.rand(2, 3, 64, 64)
    mean, std = (torch.tensor(own)[:, None, None] for own in (MEAN, STD))
    with torch.no_grad():
        expected = network.forward_head(
            network.forward_features((pictures - mean) / std), pre_logits=True
        )
    torch.testing.assert_close(encoder(pictures), expected, rtol=1e-5, atol=1e-5)
    assert len(encoder.digest) == 64


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(3)}, tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"parameters of `test_resnet`. Found none that fit for"):
        FeatureEncoder("test_resnet", str(tmp_path / "w.pth"))(torch.zeros(1, 3, 32, 32))
    (tmp_path / "w.pth").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"cannot read as plain tensors"):
        FeatureEncoder("test_resnet", str(tmp_path / "w.pth"))(torch.zeros(1, 3, 32, 32))


def test_an_unknown_encoder_is_answered_with_near_ones(home: Path) -> None:
    with pytest.raises(ValueError, match=r"Found `encoder = resnet5O`. Did you mean"):
        OfficeHome(root=str(home), encoder="resnet5O", encoder_weights="random")


@pytest.mark.slow
def test_vgg_gives_what_its_classifier_s_sixth_module_puts_out() -> None:
    from torchvision.models import vgg16

    from mtlrun.core.seeding import seeded

    with seeded(0, "encoder/vgg16"):
        network = vgg16(weights=None).eval()
    seen: list[torch.Tensor] = []
    network.classifier[5].register_forward_hook(lambda _module, _given, output: seen.append(output))
    pictures = torch.rand(1, 3, 224, 224)
    mean, std = (torch.tensor(own)[:, None, None] for own in (MEAN, STD))
    with torch.no_grad():
        network((pictures - mean) / std)
    found = FeatureEncoder("vgg16", "random")(pictures)
    assert found.shape == (1, width_of("vgg16")) == (1, 4096)
    torch.testing.assert_close(found, seen[0], rtol=1e-4, atol=1e-5)


def test_weights_are_downloaded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import timm

    create, fetched = timm.create_model, []

    def model(name: str, *, pretrained: bool, num_classes: int) -> Any:
        fetched.append(pretrained)
        return create(name, pretrained=False, num_classes=num_classes)

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(timm, "create_model", model)
    digests = {FeatureEncoder("test_resnet", "download").digest for _ in range(2)}
    assert len(digests) == 1
    assert fetched.count(True) == 1


def test_pictures_of_lists_have_the_lists_labels(tmp_path: Path) -> None:
    ImageCLEF.write_miniature(tmp_path)
    path = tmp_path / "list" / "pList.txt"
    path.write_text("\n".join(reversed(path.read_text().splitlines())))
    data = ImageCLEF(root=str(tmp_path), cache_dir=str(tmp_path / "c"), **TINY)  # type: ignore[arg-type]
    assert [task.name for task in data.tasks] == ["caltech", "imagenet", "pascal", "bing"]
    pascal = data.opened.domains["pascal"]
    assert pascal.labels.tolist() == [c for c in reversed(range(12)) for _ in range(8)]
    assert len(data.split("train")) == 48
    (tmp_path / "p" / "car_3.jpg").unlink()
    again = ImageCLEF(root=str(tmp_path), cache_dir=str(tmp_path / "c"), **TINY)  # type: ignore[arg-type]
    with pytest.raises(
        DataError, match=r"each picture of .*pList.txt`. Found no .*car_3.jpg`; 1 of"
    ):
        again.split("train")


def test_a_picture_that_cannot_be_decoded_is_named(home: Path, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    OfficeHome.write_miniature(root)
    (root / "Art" / "Mug" / "00002.jpg").write_bytes(b"nothing")
    data = made(root, tmp_path / "c")
    with pytest.raises(DataError, match=r"Art/Mug/00002\.jpg"):
        data.split("test")
    faults = [finding.text for finding in data.check() if finding.is_error]
    assert len(faults) == 1
    assert "Art/Mug/00002.jpg" in faults[0]
