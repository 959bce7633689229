"""ImageCLEF-DA: twelve kinds of things in four collections."""

from pathlib import Path

import numpy as np

from mtlrun.core.data import DataError
from mtlrun.data._domain_files import DomainFiles
from mtlrun.data._domain_layout import Layout, Opened, subfolders
from mtlrun.data._domain_lists import read_list
from mtlrun.data._domain_miniature import PER_CLASS, begin, write_mat, write_pictures
from mtlrun.data._domain_open import kept
from mtlrun.data._image_features import PictureDomain

CLASSES = (
    "aeroplane", "bike", "bird", "boat", "bottle", "bus", "car", "dog", "horse", "monitor",
    "motorbike", "people",
)  # fmt: skip
LAYOUT = Layout(
    name="imageclef",
    domains={
        "caltech": ("c", "caltech"),
        "imagenet": ("i", "imagenet"),
        "pascal": ("p", "pascal"),
        "bing": ("b", "bing"),
    },
    num_classes=12,
    classes=CLASSES,
    counts=dict.fromkeys(("caltech", "imagenet", "pascal", "bing"), 600),
    pictures="folders c, i, p, b of pictures and list/cList.txt, a line `c/NAME.jpg LABEL` a picture",
    where_from="Its pictures are at imageclef.org/2014/adaptation.",
)


class ImageCLEF(DomainFiles):
    """Pictures of twelve kinds of things from Caltech-256, ImageNet, Pascal VOC and Bing: four tasks.

    Source: the ImageCLEF 2014 challenge of domain adaptation.

    Pictures lie in the folders c, i, p and b; list/cList.txt and so on say what is in them, with
    labels 0 to 11. Arguments: those of `DomainFiles`.
    """

    layout = LAYOUT

    def open_pictures(self) -> Opened:
        """The pictures of the lists.

        Raises:
            DataError: If a list, or a picture of it, is missing.
        """
        folders = kept(LAYOUT.found(subfolders(self.root)), self.chosen)
        if not folders:
            raise LAYOUT.missing(self.root, LAYOUT.pictures)
        extractions, domains = self.extractions(folders), {}
        for task, folder in folders.items():
            listed = read_list(self.root / "list" / f"{folder.name}List.txt")
            paths = [self.root / file for file in listed.files]
            if missing := [path for path in paths if not path.is_file()]:
                raise DataError(
                    f"`{self.root}` should hold each picture of `{listed.path}`. Found no "
                    f"`{missing[0]}`; {len(missing)} of {len(paths)} are missing. Complete the copy."
                )
            if max(listed.labels) >= len(CLASSES):
                raise DataError(
                    f"`{listed.path}` should have labels 0..{len(CLASSES) - 1}. Found "
                    f"{max(listed.labels)}. Get the list anew."
                )
            labels = np.array(listed.labels, np.int64)
            domains[task] = PictureDomain(folder, paths, listed.names, labels, extractions[task])
        return Opened(domains, CLASSES, self.encoded_width(), "pictures", self.root)

    @classmethod
    def write_miniature(cls, folder: Path) -> None:
        """Eight small pictures for every class and domain, their lists, and features as MAT files.

        Raises:
            ValueError: If the folder holds a copy already.
        """
        for task, own in begin(folder, LAYOUT, "cipb").items():
            write_pictures(own, task, CLASSES, flat=True)
            lines = [
                f"{own.name}/{name}_{number}.jpg {c}"
                for c, name in enumerate(CLASSES)
                for number in range(PER_CLASS)
            ]
            path = folder / "list" / f"{own.name}List.txt"
            path.parent.mkdir(exist_ok=True)
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
            write_mat(folder / "features" / f"{own.name}.mat", task, len(CLASSES))
