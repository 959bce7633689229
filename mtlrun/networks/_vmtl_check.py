"""Checks of the settings of a `VMTL` network."""


def check_sizes(*, latent: int, hidden: int, dropout: float) -> None:
    """Raises where a size is out of range.

    Raises:
        ValueError: With the number.
    """
    for name, width in (("latent", latent), ("hidden", hidden)):
        if width < 1:
            raise ValueError(
                f"`{name}` should be at least 1. Found `{name} = {width}`. Set method.{name}."
            )
    if not 0 <= dropout < 1:
        raise ValueError(
            f"`dropout` should be 0 or more and below 1. Found `dropout = {dropout}`. Set "
            f"method.dropout."
        )


def check_draws(*, num_z: int, num_w: int, num_test: int, pairing: str) -> None:
    """Raises where there are too few draws, or they do not fit each other.

    Raises:
        ValueError: With the numbers.
    """
    if min(num_z, num_w) < 1 or num_test < 0:
        raise ValueError(
            f"`num_z` and `num_w` should be 1 or more and `num_test` 0 or more. Found `num_z = "
            f"{num_z}`, `num_w = {num_w}`, `num_test = {num_test}`. Set method.num_z, method.num_w "
            f"or method.num_test."
        )
    if pairing == "paired" and num_z != num_w:
        raise ValueError(
            f"Paired draws should be as many of z as of w. Found `num_z = {num_z}` and `num_w = "
            f"{num_w}`. Set both alike, or method.pairing=product."
        )
