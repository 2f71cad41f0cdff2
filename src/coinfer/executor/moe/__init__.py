"""Expert parallelism: a mixture of experts run over several processes as a placement says."""

from __future__ import annotations

from coinfer.executor.moe.run import MoeOptions, MoeRun, run_placement

__all__ = ["MoeOptions", "MoeRun", "run_placement"]
