"""Plan collaborative LLM inference with a proof, run the plan, learn from what it measured.

The public names below are loaded when first used, so that ``import coinfer`` stays light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from coinfer.version import __version__

if TYPE_CHECKING:
    from coinfer.errors import (
        BackendMissing,
        CertificateError,
        CoinferError,
        EndpointError,
        Infeasible,
        InputError,
        LimitReached,
        PlanMismatch,
        ProblemError,
        ProfileError,
        RequestError,
    )
    from coinfer.executor.profile_machine import profile_machine
    from coinfer.executor.request import Request, read_requests
    from coinfer.executor.run import RunOptions, RunSummary, run
    from coinfer.models.budget.data import BudgetProblem
    from coinfer.models.budget.decision import BudgetDecision
    from coinfer.models.endpoint import Endpoint
    from coinfer.models.problem import Problem, read_problem
    from coinfer.models.selection.data import Budgets, Category, Device, Expert, Prompt, SelectionProblem
    from coinfer.models.selection.decision import Route, SelectionDecision
    from coinfer.planner.claims import Verification
    from coinfer.planner.make import plan
    from coinfer.planner.plan import Plan, read_plan
    from coinfer.planner.selection.replan import Replan, replan
    from coinfer.planner.verify import verify
    from coinfer.profiler.measurement import Measurement, read_measurements
    from coinfer.profiler.profile import Estimate, Profile, read_profile
    from coinfer.records import Matrix
    from coinfer.solver.limits import Limits


_HOME = {
    "errors": (
        "BackendMissing CertificateError CoinferError EndpointError Infeasible InputError LimitReached PlanMismatch "
        "ProblemError ProfileError RequestError"
    ),
    "executor.profile_machine": "profile_machine",
    "executor.request": "Request read_requests",
    "executor.run": "RunOptions RunSummary run",
    "models.budget.data": "BudgetProblem",
    "models.budget.decision": "BudgetDecision",
    "models.endpoint": "Endpoint",
    "models.problem": "Problem read_problem",
    "models.selection.data": "Budgets Category Device Expert Prompt SelectionProblem",
    "models.selection.decision": "Route SelectionDecision",
    "planner.claims": "Verification",
    "planner.make": "plan",
    "planner.plan": "Plan read_plan",
    "planner.selection.replan": "Replan replan",
    "planner.verify": "verify",
    "profiler.measurement": "Measurement read_measurements",
    "profiler.profile": "Estimate Profile read_profile",
    "records": "Matrix",
    "solver.limits": "Limits",
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names.split()}

__all__ = [  # noqa: RUF022
    "BackendMissing",
    "BudgetDecision",
    "BudgetProblem",
    "Budgets",
    "Category",
    "CertificateError",
    "CoinferError",
    "Device",
    "EndpointError",
    "Endpoint",
    "Estimate",
    "Expert",
    "Infeasible",
    "InputError",
    "LimitReached",
    "Limits",
    "Matrix",
    "Measurement",
    "Plan",
    "PlanMismatch",
    "Problem",
    "ProblemError",
    "Profile",
    "ProfileError",
    "Prompt",
    "Replan",
    "Request",
    "RequestError",
    "Route",
    "RunOptions",
    "RunSummary",
    "SelectionDecision",
    "SelectionProblem",
    "Verification",
    "__version__",
    "plan",
    "profile_machine",
    "read_measurements",
    "read_plan",
    "read_problem",
    "read_profile",
    "read_requests",
    "replan",
    "run",
    "verify",
]


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'coinfer' has no attribute {name!r}")
    value: object = getattr(importlib.import_module(f"coinfer.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
