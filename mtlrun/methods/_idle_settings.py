"""Settings of the variational methods that do nothing beside others."""

from collections.abc import Mapping
from inspect import signature
from typing import Any

from mtlrun.networks.vmtl import VMTL
from mtlrun.updates.variational import Divergences, Variational

NETWORK, RULE, WEIGHTS = (
    {name: own.default for name, own in signature(kind).parameters.items()}
    for kind in (VMTL, Variational, Divergences)
)


def idle_settings(network: Mapping[str, Any], rule: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Settings that are not the default and have no effect, and why.

    Args:
        network: Settings of `VMTL`.
        rule: Of `Variational`.
    """
    own, steps = NETWORK | dict(network), RULE | dict(rule)
    weights: Divergences = steps["divergences"]
    no_z, no_w = not own["bayesian_z"], not own["bayesian_w"]
    normal, gumbel = own["prior"] == "normal", own["prior"] == "gumbel"
    product, linear = own["pairing"] == "product", own["z_net"] == "linear"
    of_prior, of_points = f"with method.prior={own['prior']}", "where nothing is random"
    of_z, of_w = "with method.bayesian_z=false", "with method.bayesian_w=false"
    found = [
        ("hidden", "with method.z_net=linear", linear and own["classifier"] == "own"),
        ("num_z", of_z, no_z and (product or no_w)),
        ("num_w", of_w, no_w and (product or no_z)),
        ("pairing", of_points, no_z and no_w),
        ("prior", of_points, no_z and no_w and not normal),
        ("prior_form", of_prior if normal else of_points, normal or (no_z and no_w)),
        ("detach_prior", of_prior if normal else of_points, normal or (no_z and no_w)),
        ("shared_mixing", of_z if no_z else of_w, no_z or no_w),
        ("shared_mixing", of_prior, not (no_z or no_w) and own["prior"] in ("normal", "mean")),
    ]
    idle = [(name, why) for name, why, is_idle in found if is_idle and own[name] != NETWORK[name]]
    if steps["temperature"] != RULE["temperature"] and (not gumbel or (no_z and no_w)):
        idle.append(("temperature", of_points if gumbel else of_prior))
    constant = "with method.divergences.w_schedule=constant"
    of_weights = [
        ("z", of_z, no_z),
        ("w", of_w, no_w),
        ("w_every", of_w if no_w else constant, no_w or weights.w_schedule == "constant"),
    ]
    return idle + [
        (f"divergences.{name}", why)
        for name, why, is_idle in of_weights
        if is_idle and getattr(weights, name) != WEIGHTS[name]
    ]
