"""Office-Home: 65 kinds of things in four domains."""

from pathlib import Path

from mtlrun.data._domain_files import DomainFiles
from mtlrun.data._domain_layout import Layout
from mtlrun.data._domain_miniature import begin, write_lists, write_npys, write_pictures

LAYOUT = Layout(
    name="office_home",
    domains={
        "art": ("art",),
        "clipart": ("clipart",),
        "product": ("product",),
        "real_world": ("real_world", "realworld"),
    },
    num_classes=65,
    classes=(),
    counts={"art": 2427, "clipart": 4365, "product": 4439, "real_world": 4357},
    pictures="a folder of pictures for each domain, DOMAIN/CLASS/NAME.jpg",
    where_from="Its pictures are at hemanthdv.org/officeHomeDataset.html.",
)
FOLDERS = ("Art", "Clipart", "Product", "Real World")
MINIATURE = ("Alarm_Clock", "Bike", "Flipflops", "Mug", "TV", "Table")
SHARES = (0.2, 0.8)


class OfficeHome(DomainFiles):
    """Pictures of 65 kinds of things as art, clip art, of products and of the real world: four tasks.

    Source: Venkateswara et al., Deep Hashing Network for Unsupervised Domain Adaptation, CVPR 2017,
    arXiv:1706.07522.

    With `lists` the examples are those of VMTL's, LISTS/DOMAIN/train_5.txt and test_5.txt for a
    `train_share` of 0.05; classes are numbered as in them. (Its `train.txt` are of one domain, and
    never read.) Arguments: those of `DomainFiles`.
    """

    layout = LAYOUT

    @classmethod
    def write_miniature(cls, folder: Path) -> None:
        """Eight small pictures for every domain and six classes, their features as npy files, and lists.

        Raises:
            ValueError: If the folder holds a copy already.
        """
        for own in begin(folder, LAYOUT, FOLDERS).values():
            write_pictures(own, own.name, MINIATURE)
            write_npys(folder / "features" / own.name, own.name, MINIATURE)
            lists = folder / "lists" / own.name.replace(" ", "_")
            paths = [lists / "train_20.txt", lists / "test_20.txt"]
            write_lists(paths, own.name, MINIATURE, SHARES)
