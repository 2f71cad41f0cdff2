"""Check a budget plan without coinfer: value, spend and bound again, every number the decimal it is written as.

python examples/check_budget_plan.py problem.json plan.json

It reads plans for the most value, from tables in the file. The bound is the one of the prices alone; a plan may state a
lower one, for which coinfer goes through the choices that the prices leave open.
"""

import decimal
import json
import sys
from pathlib import Path

import numpy as np

decimal.setcontext(decimal.Context(prec=400, traps=[decimal.Inexact, decimal.InvalidOperation]))  # it never rounds
Number = decimal.Decimal
files = (json.loads(Path(name).read_text("utf-8"), parse_float=Number, parse_int=Number) for name in sys.argv[1:3])
problem, plan = files
menus, strata, proof = problem["menus"], problem.get("strata", {}), plan["certificate"].get("proof")
if problem.get("objective", "value") != "value" or menus["form"] != "table" or "latency_class" in strata:
    sys.exit("this checker reads plans for the most value, from tables, without latency classes")
value = np.array(menus["value"])
there = np.array(menus.get("available", np.ones(value.shape))) > 0
prompts = np.array(strata.get("prompts", [[Number(1)]] * len(value)))[:, 0]
amount = {cost["resource"]: np.broadcast_to(np.array(cost["amount"]), value.shape) for cost in menus["cost"]}
told = problem.get("information", {})
charge = {each["resource"]: each["amount"] for each in told.get("cost", ()) if told.get("charged", True)}
limits = []  # what may be taken of each resource, and the sheet of what the options take of it
for budget in problem.get("budgets", ()):
    mine = [budget.get("endpoint") in (None, option.get("endpoint")) for option in problem["options"]]
    before = 0 if "endpoint" in budget else charge.get(budget["resource"], 0) * prompts.sum()
    limits.append((budget["limit"] - before, amount[budget["resource"]] * np.array(mine, dtype=int)))
if "value_floor" in problem:
    limits.append((-problem["value_floor"] * prompts.sum(), -value))

taken = np.array(plan["decision"]["taken"])
if (taken % 1 != 0).any() or (taken < [0, 0, 1]).any():
    sys.exit("WRONG: a stratum, an option or a count that is none")
row, option, copies = taken[:, 0].astype(int), taken[:, 1].astype(int), taken[:, 2]
if not there[row, option].all() or any(copies[row == i].sum() != held for i, held in enumerate(prompts)):
    sys.exit("WRONG: not exactly one option of the menu for every prompt")
gained, stated = (value[row, option] * copies).sum(), plan["certificate"]["value"]
if abs(gained - stated) > abs(gained) * Number("1e-9"):
    sys.exit(f"WRONG: the plan states the value {stated}; it is {gained}")
print(f"value {gained}")
for limit, sheet in limits:
    spent = (sheet[row, option] * copies).sum()
    if spent > limit + abs(limit) * Number("1e-12"):  # limits that were computed have such ends
        sys.exit(f"WRONG: {spent} of {limit} is spent")
    print(f"spent {spent} of {limit}")
if proof is None:
    sys.exit("no bound: the plan carries no prices")
prices = proof["prices"]
if len(prices) != max(1, len(limits)) or min(prices) < 0 or (not limits and prices[0] > 0):
    sys.exit("WRONG: prices that show nothing")
worth = value - sum(price * sheet for price, (_, sheet) in zip(prices, limits, strict=False))
best = np.where(there, worth, Number("-Infinity")).max(axis=1)  # no prompt can do better at these prices
bound = (best * prompts).sum() + sum(price * limit for price, (limit, _) in zip(prices, limits, strict=False))
if gained > bound:
    sys.exit(f"WRONG: the value {gained} is more than the bound {bound}")
print(f"bound {bound}")
