"""What is wrong with a copy of Taskonomy."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from mtlrun.core.data import DataError, Finding, SplitName
from mtlrun.data._picture_file import read_numbers
from mtlrun.data._raycast import Array
from mtlrun.data._taskonomy_files import WHERE_FROM, Files, View
from mtlrun.data._taskonomy_targets import DOMAINS, NUM_CLASSES

SHOWN = 5  # broken files of a domain that are named


def findings(
    files: Files, views: Mapping[SplitName, Sequence[View]], domains: Sequence[str]
) -> Iterator[Finding]:
    """Facts and faults, every file decoded."""
    for split, own in views.items():
        buildings = len({view.building for view in own})
        yield Finding(False, f"Split `{split}`: {len(own)} pictures of {buildings} building(s).")
    everything = sorted({view for own in views.values() for view in own})
    for domain in ("rgb", *domains):
        yield from _domain(files, everything, domain)


def _domain(files: Files, views: Sequence[View], domain: str) -> Iterator[Finding]:
    broken, sizes, low = 0, Counter[tuple[int, ...]](), 2**16
    highest: dict[str, int] = {}  # by building
    for view in views:
        path = files.picture(domain, view)
        try:
            numbers = read_numbers(path)
        except DataError as error:
            fault = str(error)
        else:
            fault = _fault(domain, numbers)
            fault = f"`{path}` {fault} Get the file anew." if fault else ""
            sizes[numbers.shape] += 1
            low = min(low, int(numbers.min()))
            highest[view.building] = max(highest.get(view.building, 0), int(numbers.max()))
        broken += bool(fault)
        if fault and broken <= SHOWN:
            yield Finding(True, fault)
    if broken > SHOWN:
        yield Finding(
            True, f"`{domain}`: {broken - SHOWN} more files are missing or broken. {WHERE_FROM}"
        )
    if not sizes:
        return
    shapes = ", ".join(f"{n} of {'x'.join(map(str, s))}" for s, n in sizes.most_common(SHOWN))
    high = max(highest.values())
    yield Finding(False, f"`{domain}`: {shapes} (channels x height x width), values {low}..{high}.")
    if domain in DOMAINS and DOMAINS[domain].bits == 16:
        yield from _shortened(files, domain, highest)


def _shortened(files: Files, domain: str, highest: Mapping[str, int]) -> Iterator[Finding]:
    """Buildings without a number that needs more than 8 bits."""
    short = [building for building, high in highest.items() if high < 256]
    for building in short[:SHOWN]:
        yield Finding(
            True,
            f"`{files.folder(domain, building)}` should hold 16-bit numbers. Found none above "
            f"{highest[building]}: the files were shortened to 8 bits. Get them anew.",
        )
    if len(short) > SHOWN:
        yield Finding(
            True, f"`{domain}`: {len(short) - SHOWN} more buildings were shortened to 8 bits."
        )


def _fault(domain: str, numbers: Array) -> str:
    wanted = 3 if domain == "rgb" else DOMAINS[domain].channels
    if len(numbers) < wanted and domain != "reshading":
        return f"should have at least {wanted} channel(s). Found {len(numbers)}."
    if domain == "segment_semantic" and numbers[0].max() > NUM_CLASSES:
        return f"should hold labels 0..{NUM_CLASSES}. Found {int(numbers[0].max())}."
    return ""
