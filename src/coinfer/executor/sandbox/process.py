"""One program in the sandbox, from its start to its end."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from coinfer.errors import EndpointError
from coinfer.executor.sandbox.interpreter import DEVICES, OPTIONS, host_python, interpreter
from coinfer.executor.sandbox.limits import Limits
from coinfer.executor.strategies.ask import Ran, RunProgram

Method = Literal["bubblewrap", "namespaces"]
_Ended = Literal["ok", "error", "time", "memory", "output", "killed"]
_Cut = Literal["output", "late", "stopped", ""]
GRACE_S = 15.0
"""For making the sandbox, beside the program's own time; past it everything is killed from outside."""
STDERR_KEPT = 2000
_LAUNCHER = Path(__file__).with_name("launcher.py")
_PIECE = 1 << 16


def methods() -> tuple[Method, ...]:
    """Return the ways to try, in order.

    Root does not go by bubblewrap: in a user namespace its programs would still own root's files and pass the limit
    of processes. It leaves the namespaces as root and gives the privileges up instead.
    """
    if os.geteuid() != 0 and shutil.which("bwrap"):
        return "bubblewrap", "namespaces"
    return ("namespaces",)


@dataclass(slots=True)
class Running:
    """A program under way, on the machine's side."""

    method: Method
    limits: Limits
    _process: subprocess.Popen[bytes] | None = None
    _stopped: bool = False
    _texts: dict[str, bytearray] = field(default_factory=dict)

    def stop(self) -> None:
        """Kill it, from any thread; :meth:`run` then returns soon."""
        self._stopped = True
        process = self._process
        if process is not None and process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # and with it the first process of its PID namespace

    def run(self, program: RunProgram) -> Ran:
        """Run a program and wait for its end.

        Raises
        ------
        EndpointError
            If the sandbox cannot be made.
        """
        config = json.dumps(_config(program, self.limits)).encode() + b"\n"
        reader, writer = os.pipe()
        try:
            try:
                process = subprocess.Popen(
                    self._command(writer),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    pass_fds=(writer,),
                    env=_environment(self.method),
                    cwd="/",
                    start_new_session=True,
                    bufsize=0,
                )
            except OSError as error:
                raise EndpointError(f"sandbox: cannot start a process: {error.strerror}") from error
            finally:
                os.close(writer)
            with process:
                self._process = process
                try:
                    cause = self._watch(process, config, reader)
                finally:
                    self.stop()
            return self._result(cause)
        finally:
            os.close(reader)

    def _command(self, status: int) -> list[str]:
        start = [*OPTIONS, str(_LAUNCHER), str(status), "namespaces"]
        if self.method == "namespaces":
            return [str(host_python()), *start]
        return [*_bubblewrap(self.limits), *OPTIONS, "/box-launcher.py", str(status), "inside"]

    def _watch(self, process: subprocess.Popen[bytes], config: bytes, reader: int) -> _Cut:
        """Feed the launcher and read what comes until all ends are closed; return why it was cut, if it was."""
        stdin, stdout, stderr = process.stdin, process.stdout, process.stderr
        if stdin is None or stdout is None or stderr is None:
            raise EndpointError("sandbox: a process without pipes")
        until = time.monotonic() + self.limits.wall_s + GRACE_S
        self._texts = {"stdout": bytearray(), "stderr": bytearray(), "status": bytearray()}
        rest = memoryview(config)
        os.set_blocking(stdin.fileno(), False)
        with selectors.DefaultSelector() as selector:
            for name, stream in (("stdout", stdout), ("stderr", stderr), ("status", reader)):
                selector.register(stream, selectors.EVENT_READ, name)
            selector.register(stdin, selectors.EVENT_WRITE, "stdin")
            # Standard input stays open: the launcher takes its end for ours.
            while any(key.data != "stdin" for key in selector.get_map().values()):
                if self._stopped:
                    return "stopped"
                if time.monotonic() > until:
                    return "late"
                for key, _ in selector.select(min(1.0, until - time.monotonic()) if until > time.monotonic() else 0):
                    if key.data == "stdin":
                        try:
                            rest = rest[os.write(key.fd, rest[:_PIECE]) :]
                        except BrokenPipeError:
                            rest = rest[len(rest) :]
                        if not rest:
                            selector.unregister(key.fileobj)
                        continue
                    piece = os.read(key.fd, _PIECE)
                    self._texts[key.data] += piece
                    if not piece:
                        selector.unregister(key.fileobj)
                    elif len(self._texts[key.data]) > self.limits.output_bytes:
                        return "output"
        return ""

    def _result(self, cause: _Cut) -> Ran:
        """Say how it ended."""
        stdout, stderr = (self._texts[name].decode(errors="replace") for name in ("stdout", "stderr"))
        stdout, stderr = stdout[: self.limits.output_bytes], stderr[-STDERR_KEPT:]
        if cause:
            cut: dict[_Cut, _Ended] = {"output": "output", "late": "time", "stopped": "killed"}
            return Ran(stdout=stdout, ended=cut[cause], stderr=stderr)
        try:
            said = json.loads(self._texts["status"].decode() or "{}")
        except ValueError:
            said = {}
        if "failed" in said:
            raise EndpointError(f"sandbox: it cannot be made: {said['failed']}")
        if not said:
            if self.method == "bubblewrap" and stderr.startswith("bwrap: "):
                raise EndpointError(f"sandbox: it cannot be made: {stderr.splitlines()[0]}")
            return Ran(stdout=stdout, ended="killed", stderr=stderr)
        return Ran(stdout=stdout, ended=_ended(said, stderr, self.limits), stderr=stderr)


def _ended(said: dict[str, object], stderr: str, limits: Limits) -> _Ended:
    if said.get("late"):
        return "time"
    code, cpu_s = said.get("code"), said.get("cpu_s")
    if code == 0:
        return "ok"
    if code == -signal.SIGXCPU:
        return "time"
    if code == -signal.SIGKILL and isinstance(cpu_s, float) and cpu_s >= limits.cpu_s:
        return "time"
    last = stderr.rstrip().rpartition("\n")[2]
    if last.startswith("MemoryError"):
        return "memory"
    return "error" if isinstance(code, int) and code > 0 else "killed"


def _config(program: RunProgram, limits: Limits) -> dict[str, object]:
    """Return what the launcher is told."""
    shown = interpreter()
    return {
        "source": program.source,
        "stdin": program.stdin,
        "readable": shown.readable,
        "covered": shown.covered,
        "devices": [device for device in DEVICES if Path(device).exists()],
        "folder_bytes": limits.folder_bytes,
        "folder_files": limits.folder_files,
        "home_bytes": 4 * (len(program.source) + len(program.stdin)) + 2**16,
        "limits": limits.of_resources(),
        "wall_s": limits.wall_s,
        "python": shown.python,
        "options": list(OPTIONS),
        "environment": {"LD_LIBRARY_PATH": shown.libraries},
    }


def _environment(method: Method) -> dict[str, str]:
    """Return the environment of the launcher: nothing of ours, except what its own Python may need to start."""
    if method == "bubblewrap" or "LD_LIBRARY_PATH" not in os.environ:
        return {}
    return {"LD_LIBRARY_PATH": os.environ["LD_LIBRARY_PATH"]}


def _bubblewrap(limits: Limits) -> list[str]:
    """Return the command of bubblewrap up to the interpreter."""
    shown = interpreter()
    command = [shutil.which("bwrap") or "bwrap", "--unshare-all", "--unshare-user", "--disable-userns", "--clearenv"]
    command += ["--die-with-parent", "--new-session", "--cap-drop", "ALL", "--uid", "65534", "--gid", "65534"]
    command += ["--setenv", "LD_LIBRARY_PATH", shown.libraries, "--hostname", "sandbox"]
    for source, target in shown.readable:
        command += ["--ro-bind", source, target]
    for target in shown.covered:
        command += ["--size", "4096", "--tmpfs", target, "--remount-ro", target]
    for device in DEVICES:
        command += ["--dev-bind-try", device, device]
    command += ["--ro-bind", str(_LAUNCHER), "/box-launcher.py"]
    command += ["--size", str(limits.folder_bytes), "--tmpfs", "/tmp"]  # noqa: S108  # the sandbox's own
    command += ["--size", str(2**26), "--tmpfs", "/box", "--remount-ro", "/", "--chdir", "/"]
    return [*command, shown.python]
