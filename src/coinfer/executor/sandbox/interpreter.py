"""The files of this Python that a program may read, and where it finds them: the standard library, no more."""

from __future__ import annotations

import functools
import re
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from coinfer.errors import EndpointError

ROOT = "/python"
_LIBRARY = re.compile(r"^\s*(?:(\S+) => )?(/\S+) \(0x[0-9a-f]+\)$", re.MULTILINE)
_NEEDLESS = ("_tkinter", "_test", "_xx", "xx", "_curses", "readline", "nis", "_gdbm", "_dbm")
_SECOND_FENCE = "libseccomp.so.2"
DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom")
OPTIONS = ("-I", "-S", "-B", "-X", "utf8")


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """What is shown of this machine.

    Attributes
    ----------
    readable
        Pairs: a file or folder here, and its place in the sandbox.
    covered
        Folders in the sandbox over which an empty one lies: installed packages.
    python
        The interpreter in the sandbox.
    libraries
        Folder of shared libraries in the sandbox.
    """

    readable: tuple[tuple[str, str], ...]
    covered: tuple[str, ...]
    python: str
    libraries: str


@functools.cache
def interpreter() -> Interpreter:
    """Return the files of the running interpreter, without its virtual environment.

    Raises
    ------
    EndpointError
        If they cannot be found out.
    """
    binary = host_python()
    library = Path(sysconfig.get_path("stdlib")).resolve()
    inner = f"{ROOT}/{sys.platlibdir}/{library.name}"
    python = f"{ROOT}/bin/{binary.name}"
    readable = {python: str(binary), inner: str(library)}
    modules = sorted((library / "lib-dynload").glob("*.so"))
    needed = [binary, *(module for module in modules if not module.name.startswith(_NEEDLESS))]
    for name, path in _shared_libraries(needed):
        # The loader itself is named by its path; the others are looked up by their names.
        readable[path if not name else f"{ROOT}/shared/{name}"] = str(Path(path).resolve())
    covered = [f"{inner}/{name}" for name in ("site-packages", "dist-packages") if (library / name).is_dir()]
    return Interpreter(
        readable=tuple((source, target) for target, source in readable.items()),
        covered=tuple(covered),
        python=python,
        libraries=f"{ROOT}/shared",
    )


def host_python() -> Path:
    """Return the interpreter outside any virtual environment."""
    return Path(getattr(sys, "_base_executable", None) or sys.executable).resolve()


def _shared_libraries(files: list[Path]) -> list[tuple[str, str]]:
    """Return name and path of every shared library that some files need; no name where it is sought by path."""
    try:
        listed = subprocess.run(["ldd", *files], capture_output=True, text=True, timeout=60, check=False, env={})
    except (OSError, subprocess.SubprocessError) as error:
        raise EndpointError(f"sandbox: the shared libraries of Python cannot be listed: {error}") from error
    found = [(name or "", path) for name, path in _LIBRARY.findall(listed.stdout)]
    fence = next((Path(path).parent / _SECOND_FENCE for name, path in found if name.startswith("libc.")), None)
    if fence is not None and fence.exists():
        found.append((_SECOND_FENCE, str(fence)))
    return sorted(set(found))
