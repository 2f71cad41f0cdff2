"""The steps of the demo, and what each prints."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import msgspec

from coinfer import jsonfile
from coinfer.cli import common
from coinfer.errors import Infeasible, InputError, Plain
from coinfer.executor import demo
from coinfer.executor.profile_machine import profile_machine
from coinfer.executor.run import RunOptions, run
from coinfer.models.selection.data import Budgets, SelectionProblem
from coinfer.planner.assemble import assemble
from coinfer.planner.comparison import Compared, compare
from coinfer.planner.front import FrontPoint, front
from coinfer.planner.make import plan
from coinfer.planner.report import build
from coinfer.planner.selection.document import SelectionPlan
from coinfer.planner.selection.replan import Replan, replan
from coinfer.planner.units import amount, interval, percent, unit_of
from coinfer.planner.verify import verify
from coinfer.profiler.fit import fit
from coinfer.profiler.measurement import read_measurements
from coinfer.profiler.profile import Profile, Quantity
from coinfer.zoo.tasks import CATEGORIES

LATENCY_FACTOR = 1.5
MEMORY_SHARE = 0.6
ENERGY_SHARE = 0.8


class Demo:
    """One run of the whole loop; every file it makes stays in one folder."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        if arguments.calibration < 6 or arguments.requests < 6:
            raise InputError("--calibration and --requests", expected="at least 6", found=Plain("less"))
        if not 0.0 < arguments.power < 1e6:
            raise InputError("--power", expected="watts above 0", found=arguments.power)
        self.arguments = arguments
        self.quiet: bool = arguments.json
        self.folder: Path = arguments.output
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            found = Plain(error.strerror or str(error))
            raise InputError(str(self.folder), expected="a folder to write to", found=found) from error
        for name in ("calibration.jsonl", "run.jsonl", "run.journal"):  # a demo starts from nothing
            (self.folder / name).unlink(missing_ok=True)
        self.began = time.perf_counter()
        self.calibration, self.requests = demo.bundled_requests(
            calibration=arguments.calibration, workload=arguments.requests, seed=arguments.seed
        )
        self.candidates = demo.candidates()
        self.first_profile: Profile
        self.problem: SelectionProblem
        self.first_plan: SelectionPlan
        self.points: tuple[FrontPoint, ...] = ()
        self.compared: tuple[Compared, ...] = ()
        self.again: Replan

    def profile(self) -> None:
        """Measure every bundled model on this machine."""
        self._title(f"1. Profile: {len(self.candidates)} models answer {len(self.calibration)} prompts on this machine")
        with common.progress_bar("Measuring", quiet=self.quiet) as advance:
            self.first_profile = profile_machine(
                self.candidates,
                self.calibration,
                busy_power_w=self.arguments.power,
                measurements_path=self.folder / "calibration.jsonl",
                on_progress=common.summed(advance, [candidate.name for candidate in self.candidates]),
            )
        jsonfile.write(self.folder / "profile.json", self.first_profile)
        device = self.first_profile.devices[0]
        self._say(device.description)
        if device.energy_counter is None:
            self._say(f"No energy counter here: energy is {self.arguments.power:g} W (declared) times the time.")
        rows = []
        for candidate in self.candidates:
            cells = [candidate.name]
            shown: tuple[tuple[Quantity, str], ...] = (("decode_s_per_token", "s"), ("memory_bytes", "bytes"))
            for quantity, unit in shown:
                found = self.first_profile.find(device=demo.DEVICE, model=candidate.name, quantity=quantity)
                cells.append("–" if found is None else amount(found.value, unit))
            for category in CATEGORIES:
                quality = self.first_profile.find(
                    device=demo.DEVICE, model=candidate.name, quantity="quality", category=category
                )
                cells.append("–" if quality is None else f"{quality.value:.2f}")
            rows.append(cells)
        self._table(
            "What was measured: speed, memory, and accuracy by category",
            ("model", "per token", "memory", *CATEGORIES),
            rows,
        )

    def plan(self) -> None:
        """Set budgets that bind, and choose experts with a proof."""
        self._title("2. Plan: which models to keep, and who answers what")
        free = assemble(
            self.first_profile,
            name="bundled models on this machine",
            candidates=self.candidates,
            workload=demo.workload(),
            budgets=Budgets(),
        )
        limited = demo.with_budgets(free, memory_share=MEMORY_SHARE, latency_factor=LATENCY_FACTOR)
        needed = next(p.value for p in plan(limited).predictions if p.quantity == "energy_j")
        self.problem = demo.with_energy(limited, ENERGY_SHARE * needed)
        self.first_plan = plan(self.problem, profile=self.first_profile)
        jsonfile.write(self.folder / "problem.json", self.problem)
        jsonfile.write(self.folder / "plan.json", self.first_plan)
        self._say(
            f"Budgets: {percent(ENERGY_SHARE)} of the energy the best plan would use, {percent(MEMORY_SHARE)} of the "
            f"memory of all models,\nand in every category {LATENCY_FACTOR:g} times the median latency of the models."
        )
        if not self.quiet:
            common.print_plan(self.first_plan, self.problem)
        self._say(f"\n{self._best_single()}")

    def _best_single(self) -> str:
        """Say what one model alone would reach within the same limits, so that the choice has something beside it."""
        budgets = msgspec.structs.replace(self.problem.budgets, experts=1)
        try:
            alone = plan(msgspec.structs.replace(self.problem, budgets=budgets))
        except Infeasible:
            return "No single model keeps these limits."
        name, value = alone.decision.selected[0], alone.certificate.value
        return f"The best single model within the same limits, {name}, reaches {value:.4f}."

    def verify(self) -> None:
        """Check the plan without any solver."""
        self._title("3. Verify: the plan is re-checked from the problem file alone, without a solver")
        checked = verify(self.problem, self.first_plan)
        for claim in checked.claims:
            self._say(f"  {claim.what}: {claim.standing} ({claim.method})")
        self._say("Proven optimal." if checked.proven else "Not proven optimal.")

    def run(self) -> None:
        """Answer the workload as planned."""
        self._title(f"4. Run: {len(self.requests)} new prompts through the plan")
        with common.progress_bar("Answering", quiet=self.quiet) as advance:
            summary = run(
                self.first_plan,
                self.requests,
                journal_path=self.folder / "run.journal",
                answers_path=self.folder / "answers.jsonl",
                measurements_path=self.folder / "run.jsonl",
                options=RunOptions(concurrency=1, seed=self.arguments.seed),
                on_progress=advance,
            )
        self._say(f"{summary.answered} answered, {summary.failed} failed, {summary.skipped} left out by a budget.")

    def compare(self) -> None:
        """Set what was measured beside what was predicted."""
        self._title("5. Compare: measured against predicted")
        rows = list(read_measurements(self.folder / "run.jsonl"))
        weights = {prompt.category: prompt.weight for prompt in self.problem.prompts}
        self.compared = compare(
            self.first_plan,
            rows,
            latency_statistic=self.problem.latency_statistic,
            category_weights=weights,
        )
        self._table(
            "",
            ("quantity", "where", "predicted", "interval", "measured", "difference"),
            [_compared(item) for item in self.compared],
            left=2,
        )

    def replan(self) -> None:
        """Fit again with what the run measured, and plan again."""
        self._title("6. Replan: what the run measured goes into the next plan")
        rows = [row for name in ("calibration.jsonl", "run.jsonl") for row in read_measurements(self.folder / name)]
        profile = fit(rows, devices=self.first_profile.devices)
        self.again = replan(self.problem, self.first_plan, profile)
        jsonfile.write(self.folder / "profile-2.json", profile)
        jsonfile.write(self.folder / "problem-2.json", self.again.problem)
        jsonfile.write(self.folder / "plan-2.json", self.again.plan)
        self._say("\n".join(common.staleness(self.again)))
        verify(self.again.problem, self.again.plan)
        decides = "differently" if self.again.changed else "the same"
        told = common.describe(self.again.plan, self.again.problem)
        self._say(f"The new plan decides {decides}, and is verified too. {told}")

    def report(self) -> None:
        """Write the page."""
        self._title("7. Report")
        with common.progress_bar("Pareto front", quiet=self.quiet) as advance:
            self.points = front(self.problem, plan=self.first_plan, points=36, on_point=advance)
        page = build(
            problem=self.problem,
            plan=self.first_plan,
            front=self.points,
            rows=read_measurements(self.folder / "run.jsonl"),
            profile=self.first_profile,
        )
        jsonfile.write_text(self.folder / "report.html", page)
        self._say(f"{self.folder / 'report.html'}: open it in a browser.")

    def finish(self) -> int:
        """Say where everything is."""
        seconds = time.perf_counter() - self.began
        if self.quiet:
            common.print_json(
                {
                    "folder": str(self.folder),
                    "seconds": seconds,
                    "status": self.first_plan.certificate.status,
                    "value": self.first_plan.certificate.value,
                    "selected": list(self.first_plan.decision.selected),
                    "compared": [_row(item) for item in self.compared],
                    "stale": self.again.stale,
                    "changed": self.again.changed,
                    "front": [msgspec.to_builtins(point) for point in self.points],
                }
            )
        else:
            print(f"\nThe whole loop took {seconds:.0f} s. Every file of it stands in {self.folder}; try:")
            print(f"  coinfer verify {self.folder}/problem.json {self.folder}/plan.json")
        return 0

    def _title(self, text: str) -> None:
        if not self.quiet:
            print(f"\n{text}\n{'─' * len(text)}")

    def _say(self, text: str) -> None:
        if not self.quiet:
            print(text)

    def _table(self, title: str, header: tuple[str, ...], rows: list[list[str]], *, left: int = 1) -> None:
        if not self.quiet:
            common.table(title, header, rows, left=left)


def _compared(item: Compared) -> list[str]:
    """Return one line of the table of predicted and measured."""
    prediction, unit = item.prediction, unit_of(item.prediction)
    found = item.measured or item.declared
    error = item.relative_error
    measured = "not measured" if found is None else amount(found.value, unit)
    return [
        prediction.quantity.rpartition("_")[0] or prediction.quantity,
        prediction.category or prediction.device or "all",
        amount(prediction.value, unit),
        interval(prediction.low, prediction.high, unit) or "–",
        measured + (" (declared)" if item.measured is None and item.declared is not None else ""),
        "–" if error is None else percent(error, signed=True),
    ]


def _row(item: Compared) -> dict[str, object]:
    return {
        "quantity": item.prediction.quantity,
        "category": item.prediction.category,
        "device": item.prediction.device,
        "predicted": item.prediction.value,
        "measured": None if item.measured is None else item.measured.value,
    }
