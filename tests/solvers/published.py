"""Matrices of the notebooks published with TAG (Apache-2.0), rounded; row = source, column = target.

The published tables have the recipient (TAG) or the scored task (HOA) as the row; the files are
turned around.
"""

from pathlib import Path

from mtlrun._solve_files import read_affinity

FOLDER = Path(__file__).with_name("matrices")


def _matrix(name):
    return read_affinity(FOLDER / f"{name}.csv").values


TAG_CELEBA = _matrix("tag_celeba")
TAG_TASKONOMY = _matrix("tag_taskonomy")
HOA_CELEBA = _matrix("hoa_celeba")
HOA_TASKONOMY = _matrix("hoa_taskonomy")
CS_CELEBA = _matrix("cs_celeba")
CS_TASKONOMY = _matrix("cs_taskonomy")
