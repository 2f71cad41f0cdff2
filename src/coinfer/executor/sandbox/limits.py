"""How much a generated program may take."""

from __future__ import annotations

from coinfer.errors import RequestError
from coinfer.records import Record


class Limits(Record, frozen=True, kw_only=True):
    """What one program may take. Past a limit it fails or is killed; nothing of it goes on.

    Attributes
    ----------
    wall_s, cpu_s
        Seconds from its start, and of processor time of each of its processes.
    memory_bytes
        Address space of each of its processes: together they take at most ``processes`` times as much.
    processes
        Processes and threads at once, itself among them.
    file_bytes
        Longest file.
    folder_bytes, folder_files
        Of its working folder, which lives in memory and is gone with it.
    open_files
        At once, of each process.
    output_bytes
        Of standard output, and of standard error.
    """

    wall_s: float = 10.0
    cpu_s: int = 5
    memory_bytes: int = 512 * 2**20
    processes: int = 4
    file_bytes: int = 16 * 2**20
    folder_bytes: int = 32 * 2**20
    folder_files: int = 1000
    open_files: int = 64
    output_bytes: int = 256 * 2**10

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            if not 0 < getattr(self, name) <= 2**53:
                raise RequestError(f"limits.{name}", expected="a number above 0", found=getattr(self, name))

    def of_resources(self) -> dict[str, int]:
        """Return the limits that the kernel keeps for a process, by their names in ``setrlimit``."""
        return {
            "CPU": self.cpu_s,
            "AS": self.memory_bytes,
            "FSIZE": self.file_bytes,
            "NOFILE": self.open_files,
            "NPROC": self.processes,
            "CORE": 0,
            "MEMLOCK": 0,
            "MSGQUEUE": 0,
            "SIGPENDING": 64,
        }
