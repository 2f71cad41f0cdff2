"""Generated programs run here and nowhere else: a process without network, files, keys or privileges, under limits."""

from coinfer.executor.sandbox.limits import Limits as Limits
from coinfer.executor.sandbox.probe import available as available
from coinfer.executor.sandbox.probe import run as run
from coinfer.executor.sandbox.probe import run_blocking as run_blocking
