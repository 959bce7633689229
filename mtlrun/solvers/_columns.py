"""Column generation: groups come as they are worth it, until it is proven that no others are."""

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it has no types

from mtlrun.solvers._answer import Answer
from mtlrun.solvers._begin import LISTED, NoGroupsError, begin
from mtlrun.solvers._choosing import guess
from mtlrun.solvers._clock import Clock
from mtlrun.solvers._pricing import price
from mtlrun.solvers._proving import prove
from mtlrun.solvers._run import Run
from mtlrun.solvers.problem import Problem


def generate(problem: Problem, clock: Clock, *, list_all: int = LISTED) -> Answer:
    """The best groups of a problem, as far as the time lasts.

    Args:
        problem: What is asked.
        clock: When to stop.
        list_all: Up to so many items all groups are looked at, one by one.

    Raises:
        NoGroupsError: If no groups are within the limits, or none were found.
    """
    with threadpool_limits(1, "blas"):  # the matrices are small
        run = Run(problem, clock, list_all)
        for phase in (begin, price, guess, prove):
            phase(run)
            if run.done:
                break
        return run.answer()


def require_groups(problem: Problem, clock: Clock) -> None:
    """Raises NoGroupsError where it is proven in time that no groups are within the limits."""
    try:
        begin(Run(problem, clock, LISTED))
    except NoGroupsError as error:
        if error.proven:
            raise
