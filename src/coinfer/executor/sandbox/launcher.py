"""The program that stands between coinfer and a generated program. It needs the standard library alone.

Run as ``python -I -S -B launcher.py STATUS_FD namespaces|inside`` with one line of JSON on its standard input, which
then stays open: where it ends, everything ends. ``namespaces``: leave the machine's namespaces first; ``inside``:
bubblewrap has done so. In both cases this process then supervises the program and says how it ended as one line of
JSON on STATUS_FD. In a PID namespace the kernel kills everything with its first process, so nothing outlives this one.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import resource
import select
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

NOBODY = 65534
FIRST_FREE_ID = 0x70000000  # of ids that belong to nobody: root's programs get one of their own, for process counts
CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x02000000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND = 1, 2, 4, 8, 32, 4096
MS_REC, MS_PRIVATE, MS_RELATIME, MNT_DETACH = 16384, 1 << 18, 1 << 21, 2
ST_RELATIME, ST_KEPT = 4096, 2 | 4 | 8 | 1024 | 2048  # nosuid, nodev, noexec, noatime, nodiratime: locked on a remount
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 4, 24, 38
SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "riscv64": 41, "ppc64le": 203, "s390x": 217}
SYS_KEYCTL = {"x86_64": 250, "aarch64": 219, "riscv64": 219, "ppc64le": 271, "s390x": 280}
JOIN_SESSION_KEYRING = 1
FOLDER, HOME = "/tmp", "/box"  # noqa: S108  # the sandbox's own
PROGRAM, STDIN = f"{HOME}/program.py", f"{HOME}/stdin"
BASE = "/tmp"  # noqa: S108  # covered for a moment, in namespaces of its own

FAILED = 3
SCMP_ACT_ALLOW, SCMP_ACT_ERRNO = 0x7FFF0000, 0x00050000
REFUSED_CALLS = """
    socket shmget shmat semget msgget memfd_create memfd_secret ptrace process_vm_readv process_vm_writev
    process_madvise pidfd_getfd kcmp unshare setns mount umount2 pivot_root chroot move_mount open_tree fsopen
    fsmount mount_setattr keyctl add_key request_key bpf perf_event_open userfaultfd io_uring_setup
    open_by_handle_at name_to_handle_at init_module finit_module delete_module kexec_load kexec_file_load swapon
    swapoff reboot acct quotactl syslog
"""  # shmget, memfd_create: memory that counts for no process; socket: some families pass network namespaces (vsock)

libc = ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments: Any) -> int:
    """Call a function of the C library; raise OSError where it fails."""
    made = [ctypes.c_ulong(each) if isinstance(each, int) else each for each in arguments]
    result: int = getattr(libc, name)(*made)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{name}: {os.strerror(error)}")
    return result


def mount(source: str, target: str, kind: str | None, flags: int, options: str = "") -> None:
    """Mount, bind or remount."""
    call("mount", source.encode(), target.encode(), kind and kind.encode(), flags, options.encode() or None)


def write(path: str, text: str) -> None:
    """Write a text file."""
    Path(path).write_text(text, encoding="utf-8", errors="surrogatepass")


def leave_namespaces() -> bool:
    """Leave every namespace of the machine; return whether that took a user namespace, as it does but for root."""
    others = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWCGROUP
    if os.geteuid() == 0:  # root in a user namespace would still own root's files
        call("unshare", others)
        return False
    user, group = os.geteuid(), os.getegid()
    call("unshare", others | CLONE_NEWUSER)
    write("/proc/self/setgroups", "deny")
    write("/proc/self/uid_map", f"{NOBODY} {user} 1")
    write("/proc/self/gid_map", f"{NOBODY} {group} 1")
    return True


def make_root(config: dict[str, Any]) -> None:
    """Leave the file system for one that holds Python, three devices and an empty folder; the way back is gone."""
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    safe = MS_NOSUID | MS_NODEV
    mount("tmpfs", BASE, "tmpfs", safe, "size=1m,nr_inodes=1000,mode=755")
    os.chdir(BASE)
    Path("old").mkdir()
    Path("new").mkdir()
    call("syscall", SYS_PIVOT_ROOT[os.uname().machine], BASE.encode(), f"{BASE}/old".encode())
    os.chdir("/")
    for source, target in config["readable"]:
        bind(f"/old{source}", f"/new{target}")
    for target in config["covered"]:
        mount("tmpfs", f"/new{target}", "tmpfs", safe | MS_RDONLY, "size=4k,nr_inodes=2,mode=755")
    for device in config["devices"]:
        bind(f"/old{device}", f"/new{device}", device=True)
    size, files = config["folder_bytes"], config["folder_files"]
    Path(f"/new{FOLDER}").mkdir()
    mount("tmpfs", f"/new{FOLDER}", "tmpfs", safe, f"size={size},nr_inodes={files},mode=1777")
    Path(f"/new{HOME}").mkdir()
    mount("tmpfs", f"/new{HOME}", "tmpfs", safe, f"size={config['home_bytes']},nr_inodes=8,mode=755")
    call("umount2", b"/old", MNT_DETACH)
    mount("none", "/", None, MS_REMOUNT | MS_BIND | MS_RDONLY | safe)
    os.chroot("/new")  # besides, a process in a chroot may not make user namespaces
    os.chdir("/")


def bind(source: str, target: str, *, device: bool = False) -> None:
    """Show a file or folder of the machine, read-only unless it is a device."""
    place = Path(target)
    if Path(source).is_dir():
        place.mkdir(parents=True, exist_ok=True)
    else:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    mount(source, target, None, MS_BIND)
    if not device:
        held = os.statvfs(target).f_flag
        kept = (held & ST_KEPT) | (MS_RELATIME if held & ST_RELATIME else 0)
        mount("none", target, None, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | kept)


def become_nobody(user: int) -> None:
    """Give up every privilege for good."""
    for capability in range(64):
        with contextlib.suppress(OSError):  # beyond the last one of this kernel, or held by nobody
            call("prctl", PR_CAPBSET_DROP, capability, 0, 0, 0)
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def set_limits(limits: dict[str, int]) -> None:
    """Set the limits of resources, never above those that hold already."""
    for name, wanted in limits.items():
        kind = getattr(resource, f"RLIMIT_{name}", None)
        if kind is None:
            continue
        _, hard = resource.getrlimit(kind)
        # At the soft limit of CPU time a signal ends the program; one that ignores it meets the hard limit.
        highest = wanted + 1 if name == "CPU" else wanted
        highest = highest if hard == resource.RLIM_INFINITY else min(highest, hard)
        resource.setrlimit(kind, (min(wanted, highest), highest))


def load_filter() -> Any:
    """Return libseccomp where it is installed, else ``None``: the filter is a second fence, not the first."""
    with contextlib.suppress(OSError):
        library = ctypes.CDLL("libseccomp.so.2")
        library.seccomp_init.restype = ctypes.c_void_p
        library.seccomp_init.argtypes = [ctypes.c_uint32]
        library.seccomp_rule_add_array.argtypes = [
            ctypes.c_void_p,
            ctypes.c_uint32,
            *[ctypes.c_int] * 2,
            ctypes.c_void_p,
        ]
        library.seccomp_load.argtypes = [ctypes.c_void_p]
        return library
    return None


def filter_calls(library: Any) -> None:
    """Refuse system calls that no such program needs: those that reach other processes, namespaces and the kernel."""
    rules = library.seccomp_init(SCMP_ACT_ALLOW)
    for name in REFUSED_CALLS.split():
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:  # else this architecture, or this libseccomp, does not know it
            library.seccomp_rule_add_array(rules, SCMP_ACT_ERRNO | errno.EPERM, number, 0, None)
    if library.seccomp_load(rules) != 0:
        raise OSError(errno.EPERM, "seccomp_load failed")


def program(config: dict[str, Any], user: int, library: Any) -> NoReturn:
    """Become the program."""
    os.setsid()
    os.dup2(os.open(STDIN, os.O_RDONLY), 0)
    os.closerange(FAILED + 1, 65536)
    os.chdir(FOLDER)
    key_call = SYS_KEYCTL.get(os.uname().machine)
    if key_call is not None:
        libc.syscall(ctypes.c_long(key_call), ctypes.c_long(JOIN_SESSION_KEYRING), None)  # leave the caller's keys
    become_nobody(user)
    for number in range(1, signal.NSIG):
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_DFL)
    if library is not None:
        filter_calls(library)
    set_limits(config["limits"])
    arguments = [config["python"], *config["options"], PROGRAM]
    os.execve(arguments[0], arguments, config["environment"])  # noqa: S606  # no shell is what is wanted


def supervise(config: dict[str, Any], user: int, library: Any) -> dict[str, Any]:
    """Run the program to its end, its wall time, or the end of the caller; return how it ended."""
    call("prctl", PR_SET_DUMPABLE, 0, 0, 0, 0)  # the program must not look into this process
    for path, text in ((PROGRAM, config["source"]), (STDIN, config["stdin"])):
        write(path, text)
        Path(path).chmod(0o444)
    failure, failed = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.dup2(failed, FAILED, inheritable=False)  # so that a program that starts closes it
            program(config, user, library)
        except BaseException as error:  # whatever it is, this process must not go on as a second supervisor
            os.write(FAILED, str(error).encode()[:1000])
            os._exit(127)
    os.close(failed)
    if message := os.read(failure, 1000):
        return {"failed": message.decode(errors="replace")}
    ends, handle = select.poll(), os.pidfd_open(child)
    ends.register(0, 0)
    ends.register(handle, select.POLLIN)
    if handle not in [number for number, _ in ends.poll(config["wall_s"] * 1000)]:
        return {"late": True}
    _, status, used = os.wait4(child, 0)
    return {"code": os.waitstatus_to_exitcode(status), "cpu_s": used.ru_utime + used.ru_stime}


def first_process(config: dict[str, Any], status: int, user: int, *, bubblewrap: bool) -> NoReturn:
    """Be the one whose end ends all."""
    try:
        call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        library = load_filter()
        if not bubblewrap:
            make_root(config)
        said = supervise(config, user, library)
    except BaseException as error:
        said = {"failed": str(error)}
    os.write(status, json.dumps(said).encode())
    os._exit(0)


def main() -> None:
    """Read what is to be done, and do it."""
    status, bubblewrap = int(sys.argv[1]), sys.argv[2] == "inside"
    os.set_inheritable(status, False)
    text = b""
    while not text.endswith(b"\n"):
        piece = os.read(0, 1 << 20)
        if not piece:
            return
        text += piece
    config = json.loads(text)
    user = FIRST_FREE_ID + os.getpid() if os.geteuid() == 0 else NOBODY
    try:
        if bubblewrap or leave_namespaces():
            config["limits"]["NPROC"] += 2  # two processes around the program count, too
        child = 0 if bubblewrap else os.fork()
    except (OSError, KeyError) as error:
        os.write(status, json.dumps({"failed": str(error)}).encode())
        return
    if child == 0:
        first_process(config, status, user, bubblewrap=bubblewrap)
    os.waitpid(child, 0)


if __name__ == "__main__":
    main()
