"""DomainNet: 345 kinds of things in six domains."""

from pathlib import Path

from mtlrun.core.batch import TaskName
from mtlrun.data._domain_draw import Draw
from mtlrun.data._domain_files import DomainFiles
from mtlrun.data._domain_layout import Layout
from mtlrun.data._domain_miniature import begin, write_lists, write_npys, write_pictures
from mtlrun.data._raycast import Array

NAMES = ("clipart", "infograph", "painting", "quickdraw", "real", "sketch")
LAYOUT = Layout(
    name="domainnet",
    domains={name: (name,) for name in NAMES},
    num_classes=345,
    classes=(),
    counts={},
    pictures="a folder of pictures for each domain, DOMAIN/CLASS/NAME.jpg",
    where_from="Its pictures and lists are at ai.bu.edu/M3SDA.",
)
MINIATURE = ("aircraft_carrier", "bicycle", "camel", "mug", "zebra")
SHARES = (0.75, 0.25)


class DomainNet(DomainFiles):
    """Pictures of 345 kinds of things as clip art, infographics, paintings, drawings, photographs and sketches.

    Source: Peng et al., Moment Matching for Multi-Source Domain Adaptation, ICCV 2019,
    arXiv:1812.01754. VMTL trains on 4 % of each class and tests the rest (Table C.13).

    With `lists` (the pictures' folder, where they are published) a share of LISTS/DOMAIN_train.txt is
    trained on, all of it for a `train_share` of 1, and LISTS/DOMAIN_test.txt is tested. Arguments:
    those of `DomainFiles`.
    """

    layout = LAYOUT

    def list_paths(self, folder: Path, task: TaskName) -> tuple[Path, Path]:
        """The published lists."""
        return folder / f"{task}_train.txt", folder / f"{task}_test.txt"

    def listed(self, train: Array, labels: Array, draw: Draw) -> Array:
        """A share of each class of the training list."""
        chosen: Array = train[draw.share(labels[train], self.train_share)]
        return chosen

    @classmethod
    def write_miniature(cls, folder: Path) -> None:
        """Eight small pictures for every domain and five classes, their features as npy files, and lists.

        Raises:
            ValueError: If the folder holds a copy already.
        """
        for task, own in begin(folder, LAYOUT, NAMES).items():
            write_pictures(own, task, MINIATURE)
            write_npys(folder / "features" / task, task, MINIATURE)
            paths = [folder / f"{task}_train.txt", folder / f"{task}_test.txt"]
            write_lists(paths, task, MINIATURE, SHARES)
