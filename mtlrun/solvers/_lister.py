"""Every 0/1 vector at which a quadratic form is at least 0, by depth-first search in chunks."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from mtlrun.solvers._clock import Clock
from mtlrun.solvers._duals import (
    Cuts,
    Multipliers,
    Terms,
    bounds,
    fit,
    multipliers,
    starting,
    violated,
)

CHUNK = 1 << 13  # nodes looked at together
SAMPLE = 256  # nodes that multipliers are fitted to
EPS32 = float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class Form:
    """x'Ax + b'x + c over 0/1 vectors x that keep limits. Its largest entries are about 1.

    Attributes:
        matrix: [V, V] A, symmetric, its diagonal empty.
        linear: [V] b.
        constant: c.
        stages: The variables, those decided together in one stage.
        patterns: Their values to choose from, [P, s] for each stage.
        rows: [L, V] of the limits rows @ x <= most.
        most: [L].
        apart: Pairs of variables that are not both 1.
        implied: Pairs of variables, the first of which is 1 only where the second is.
    """

    matrix: np.ndarray
    linear: np.ndarray
    constant: float
    stages: Sequence[tuple[int, ...]]
    patterns: Sequence[np.ndarray]
    rows: np.ndarray
    most: np.ndarray
    apart: Sequence[tuple[int, int]] = ()
    implied: Sequence[tuple[int, int]] = ()


@dataclass(frozen=True)
class Listing:
    """What a search found.

    Attributes:
        vectors: [F, V] bool.
        complete: Whether these are all.
        nodes: How many were looked at.
        preparing_seconds: Seconds that multipliers took, of all.
    """

    vectors: np.ndarray
    complete: bool
    nodes: int
    preparing_seconds: float


@dataclass(frozen=True)
class _Nodes:
    """Decided variables [B, k] uint8, the form of them [B], what they use of the limits [B, L]."""

    x: np.ndarray
    value: np.ndarray
    used: np.ndarray

    def take(self, index: np.ndarray | slice) -> "_Nodes":
        return _Nodes(self.x[index], self.value[index], self.used[index])

    def __len__(self) -> int:
        return len(self.value)


@dataclass(frozen=True)
class _Level:
    """What holds for all nodes whose first stages are decided; R variables are free.

    The squares of x @ shift + base [R] plus theta times the slack plus `constant` bound what the
    free variables add.
    """

    decided: list[int]
    free: list[int]
    own: Multipliers
    cuts: Cuts
    shift: np.ndarray
    base: np.ndarray
    error: float
    least: np.ndarray
    stage: int


Child = tuple[np.ndarray, np.ndarray, np.ndarray]  # pattern, the nodes' values, what they use


@dataclass
class _Search:
    form: Form
    num_cuts: int
    levels: list[_Level] = field(default_factory=list)
    nodes: int = 0
    preparing_seconds: float = 0.0

    def __post_init__(self) -> None:
        self.partners: list[list[int]] = [[] for _ in self.form.linear]
        for a, b in self.form.apart:
            self.partners[a].append(b)
            self.partners[b].append(a)
        self.needs: list[list[int]] = [[] for _ in self.form.linear]
        self.needed: list[list[int]] = [[] for _ in self.form.linear]
        for y, x in self.form.implied:
            self.needs[y].append(x)
            self.needed[x].append(y)


def list_nonnegative(
    form: Form, clock: Clock, *, most: int = 1 << 18, num_cuts: int = 0
) -> Listing:
    """All vectors with a form of at least 0, as far as the time lasts.

    Args:
        form: What is asked.
        clock: When to stop.
        most: Stop after so many found.
        num_cuts: Products of two variables that tighten the bounds of a level: fewer nodes, for
            some milliseconds more a level.
    """
    search = _Search(form, num_cuts)
    root = _Nodes(
        np.zeros((1, 0), np.uint8), np.array([form.constant]), np.zeros((1, len(form.most)))
    )
    buckets: list[list[_Nodes]] = [[] for _ in form.stages]
    buckets[0] = [root]
    _open_level(search, root)
    found = [np.zeros((0, len(form.linear)), dtype=bool)]
    num_found, complete = 0, False
    while True:
        depth = _next(buckets)
        if depth is None:
            complete = True
            break
        if clock.over or num_found > most:
            break
        for children in _expand(search, depth, _pop(buckets[depth])):
            if depth + 1 < len(form.stages):
                buckets[depth + 1].append(children)
                continue
            last = search.levels[-1]
            vectors = np.zeros((len(children), len(form.linear)), dtype=bool)
            vectors[:, last.decided + list(form.stages[last.stage])] = children.x
            found.append(vectors)
            num_found += len(children)
    return Listing(np.concatenate(found), complete, search.nodes, search.preparing_seconds)


def _next(buckets: list[list[_Nodes]]) -> int | None:
    """The deepest level with a full chunk, else the first level with any node."""
    sizes = [sum(map(len, bucket)) for bucket in buckets]
    full = [depth for depth, size in enumerate(sizes) if size >= CHUNK]
    some = [depth for depth, size in enumerate(sizes) if size]
    return full[-1] if full else some[0] if some else None


def _pop(bucket: list[_Nodes]) -> _Nodes:
    """At most a chunk."""
    taken: list[_Nodes] = []
    room = CHUNK
    while bucket and room:
        nodes = bucket.pop()
        if len(nodes) > room:
            bucket.append(nodes.take(slice(room, None)))
            nodes = nodes.take(slice(room))
        taken.append(nodes)
        room -= len(nodes)
    if len(taken) == 1:
        return taken[0]
    return _Nodes(*(np.concatenate([getattr(n, f) for n in taken]) for f in ("x", "value", "used")))


def _expand(search: _Search, depth: int, nodes: _Nodes) -> list[_Nodes]:
    """The children of nodes that may lead to a vector that is asked for."""
    form, level = search.form, search.levels[depth]
    own = list(form.stages[level.stage])
    x = nodes.x.astype(np.float32)
    terms = form.linear[own] + nodes.x @ (2 * form.matrix[np.ix_(level.decided, own)])
    inner = form.matrix[np.ix_(own, own)]
    children: list[Child] = []
    for pattern in form.patterns[level.stage]:
        value = nodes.value + terms @ pattern + pattern @ inner @ pattern
        children.append((pattern, value, nodes.used + form.rows[:, own] @ pattern))
        search.nodes += len(nodes)
    last = depth == len(form.stages) - 1
    if not last:
        if depth + 1 == len(search.levels):
            _open_level(search, _sample(search, depth, nodes, children))
        after = search.levels[depth + 1]
        shared = x @ after.shift[: len(level.decided)] + after.base
        norms = np.einsum("ij,ij->i", shared, shared)
    kept = []
    for pattern, value, used in children:
        keep = value >= -1e-9
        if not last:
            row = pattern.astype(np.float32) @ after.shift[len(level.decided) :]
            bound = norms + row @ row + 2 * (shared @ row) if row.any() else norms
            rest = bound + value + after.own.constant
            if len(form.most):
                rest += (form.most - used) @ after.own.theta
            keep = rest + after.error * (1 + np.sqrt(np.maximum(bound, 0))) >= 0
        least = 0.0 if last else after.least
        keep &= (used + least <= form.most + 1e-9 * np.abs(form.most)).all(1)
        keep &= _consistent(search, level, own, pattern, nodes.x)
        places = np.flatnonzero(keep)
        if len(places):
            longer = np.empty((len(places), nodes.x.shape[1] + len(own)), np.uint8)
            longer[:, : -len(own)] = nodes.x[places]
            longer[:, -len(own) :] = pattern
            kept.append(_Nodes(longer, value[places], used[places]))
    return kept


def _consistent(
    search: _Search, level: _Level, own: list[int], pattern: np.ndarray, x: np.ndarray
) -> np.ndarray:
    """[B] whether a pattern goes with what is decided, by `apart` and `implied`."""
    place = {v: k for k, v in enumerate(level.decided)}
    zero, one = [], []  # decided variables that must be so
    for variable, chosen in zip(own, pattern, strict=True):
        if chosen:
            zero += [place[v] for v in search.partners[variable] if v in place]
            one += [place[v] for v in search.needs[variable] if v in place]
        else:
            zero += [place[v] for v in search.needed[variable] if v in place]
    return np.asarray((x[:, zero] == 0).all(1) & (x[:, one] == 1).all(1))


def _sample(search: _Search, depth: int, nodes: _Nodes, children: list[Child]) -> _Nodes:
    """Some children, those that the parents' multipliers do not rule out first."""
    parent = search.levels[depth]
    every = _Nodes(
        np.concatenate(
            [
                np.hstack([nodes.x, np.broadcast_to(p.astype(np.uint8), (len(nodes), len(p)))])
                for p, _, _ in children
            ]
        ),
        np.concatenate([value for _, value, _ in children]),
        np.concatenate([used for _, _, used in children]),
    )
    every = every.take(slice(None, None, max(1, len(every) // (8 * SAMPLE))))
    decided, free, cuts, cut = _after(search, parent)
    terms = _terms(search.form, decided, free, cuts, every)
    above = every.value + bounds(terms, _restricted(terms, parent, free, cut))[0]
    good = np.flatnonzero(above >= 0)
    if len(good) < 8:
        good = np.argsort(-above, kind="stable")[:8]
    return every.take(good[:: max(1, len(good) // SAMPLE)])


def _after(search: _Search, parent: _Level | None) -> tuple[list[int], list[int], Cuts, np.ndarray]:
    """Decided and free variables of the level after a parent, cuts among them, their multipliers."""
    form = search.form
    decided = [] if parent is None else parent.decided + list(form.stages[parent.stage])
    free = [v for v in range(len(form.linear)) if v not in set(decided)]
    place = {v: k for k, v in enumerate(free)}
    if parent is None:
        rows = [(y, x, -1, 1, 0, 0, True) for y, x in form.implied]
        return decided, free, Cuts.of(rows), np.zeros(len(rows))
    at = np.array([place.get(v, -1) for v in parent.free])
    cuts = parent.cuts
    kept = np.flatnonzero(
        (at[cuts.i] >= 0) & (at[cuts.j] >= 0) & (cuts.free | (parent.own.cut > 0))
    )
    cuts = cuts.take(kept)
    return decided, free, replace(cuts, i=at[cuts.i], j=at[cuts.j]), parent.own.cut[kept]


def _terms(form: Form, decided: list[int], free: list[int], cuts: Cuts, nodes: _Nodes) -> Terms:
    return Terms(
        form.matrix[np.ix_(free, free)],
        form.linear[free] + nodes.x @ (2 * form.matrix[np.ix_(decided, free)]),
        form.rows[:, free],
        form.most - nodes.used,
        cuts,
        np.full(len(nodes), 1 / len(nodes)),
    )


def _restricted(terms: Terms, parent: _Level, free: list[int], cut: np.ndarray) -> Multipliers:
    """The parent's multipliers of what is still free."""
    kept = [parent.free.index(v) for v in free]
    own = multipliers(terms, parent.own.d[kept], parent.own.theta, cut)
    assert own is not None
    return own


def _open_level(search: _Search, sample: _Nodes) -> None:
    """Fits the multipliers of the next level to nodes of it, and chooses its stage."""
    form, began = search.form, time.perf_counter()
    parent = search.levels[-1] if search.levels else None
    decided, free, cuts, cut = _after(search, parent)
    terms = _terms(form, decided, free, cuts, sample)
    own = fit(terms, starting(terms) if parent is None else _restricted(terms, parent, free, cut))
    if search.num_cuts and len(free) > 2:
        more = violated(terms, own, search.num_cuts - len(cuts))
        cuts = cuts.join(more)
        terms = replace(terms, cuts=cuts)
        cut = np.concatenate([own.cut, np.zeros(len(more))])
        start = multipliers(terms, own.d, own.theta, cut)
        assert start is not None
        own = fit(terms, start)
    root = np.linalg.cholesky(own.inverse) / 2
    shift = (2 * form.matrix[np.ix_(decided, free)]) @ root
    base = (form.linear[free] + own.shift) @ root
    # Rounding of x @ shift + base in single precision, with a wide margin
    error = EPS32 * (len(decided) + 4) ** 0.5 * np.abs(np.vstack([shift, base])).sum(0)
    stages = [s for s, variables in enumerate(form.stages) if variables[0] not in set(decided)]
    level = _Level(
        decided,
        free,
        own,
        cuts,
        shift.astype(np.float32),
        base.astype(np.float32),
        4 * float(np.linalg.norm(error)),
        np.minimum(form.rows[:, free], 0.0).sum(1),
        _choose(form, terms, own, sample.value, free=free, stages=stages),
    )
    search.levels.append(level)
    search.preparing_seconds += time.perf_counter() - began


def _choose(
    form: Form,
    terms: Terms,
    own: Multipliers,
    values: np.ndarray,
    *,
    free: list[int],
    stages: list[int],
) -> int:
    """The stage that is expected to leave the fewest nodes."""
    above, v = bounds(terms, own)
    above = above + values
    spread = np.diag(own.inverse)
    scale = max(float(np.abs(above).mean()), 1e-12)
    scores = []
    for stage in stages:
        places = [free.index(variable) for variable in form.stages[stage]]
        drops = [
            ((pattern - v[:, places]) ** 2 / spread[places]).max(1)
            for pattern in form.patterns[stage]
        ]
        left = sum(float(np.exp(-drop / scale).mean()) for drop in drops)
        scores.append(left ** (1 / len(places)))
    return stages[int(np.argmin(scores))]
