"""Office-Caltech: ten kinds of things in four domains."""

from pathlib import Path

from mtlrun.data._domain_files import DomainFiles
from mtlrun.data._domain_layout import Layout
from mtlrun.data._domain_miniature import begin, write_mat, write_pictures

CLASSES = (
    "backpack", "bike", "calculator", "headphones", "keyboard", "laptop", "monitor", "mouse", "mug",
    "projector",
)  # fmt: skip
LAYOUT = Layout(
    name="office_caltech",
    domains={
        "amazon": ("amazon",),
        "webcam": ("webcam",),
        "dslr": ("dslr",),
        "caltech10": ("caltech10", "caltech"),
    },
    num_classes=10,
    classes=CLASSES,
    counts={"amazon": 958, "webcam": 295, "dslr": 157, "caltech10": 1123},
    pictures="a folder of pictures for each domain, DOMAIN/CLASS/NAME.jpg",
    where_from=(
        "SURF, GoogLeNet and CaffeNet features are at "
        "github.com/LeoGautheron/OfficeCaltechDomainAdaptation."
    ),
)


class OfficeCaltech(DomainFiles):
    """Pictures of ten kinds of things from Amazon, a webcam, an SLR camera and Caltech-256: four tasks.

    Source: Gong et al., Geodesic Flow Kernel for Unsupervised Domain Adaptation, CVPR 2012.

    Published features are MAT files, one a domain, in the folders surf [800], GoogleNet1024 and
    CaffeNet4096 (`descriptor`: surf, googlenet, caffenet). 25 of Amazon's examples are copies of
    others. Arguments: those of `DomainFiles`.
    """

    layout = LAYOUT

    @classmethod
    def write_miniature(cls, folder: Path) -> None:
        """Eight small pictures of patterns for every class and domain, and their features as MAT files.

        Raises:
            ValueError: If the folder holds a copy already.
        """
        for task, own in begin(folder, LAYOUT, list(LAYOUT.domains)).items():
            write_pictures(own, task, CLASSES)
            write_mat(folder / "features" / f"{task}.mat", task, len(CLASSES))
