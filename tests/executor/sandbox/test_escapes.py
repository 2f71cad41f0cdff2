"""Programs that try to get out of the sandbox, to read what is not theirs, or to outlive it."""

from __future__ import annotations

import os
import socket
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

ATTEMPT = """
import ctypes, os, signal, socket, subprocess, sys
def attempt(action):
    try:
        print("reached", action())
    except (OSError, ctypes.ArgumentError) as error:
        print("refused", type(error).__name__)
"""


def attempts(*expressions: str) -> str:
    """Return a program that evaluates expressions and says for each whether it was refused."""
    return ATTEMPT + "".join(f"attempt(lambda: {each})\n" for each in expressions)


def refused(sandboxed, *expressions: str, stdin: str = "") -> None:
    """Check that each expression is refused, and that the program itself ends well."""
    ran = sandboxed(attempts(*expressions), stdin=stdin)
    assert ran.ended == "ok", ran
    assert [line.split()[0] for line in ran.stdout.splitlines()] == ["refused"] * len(expressions), ran.stdout


def test_there_is_no_network(sandboxed) -> None:
    """A server on loopback, a server outside, a name to be looked up: nothing is reached."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        refused(
            sandboxed,
            f"socket.create_connection(('127.0.0.1', {port}), timeout=2)",
            "socket.create_connection(('192.0.2.1', 80), timeout=2)",
            "socket.getaddrinfo('localhost.example', 80)",
            "socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
            "socket.socket(40, socket.SOCK_STREAM).connect((2, 1))",
        )
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()


def test_unix_sockets_of_others_are_out_of_reach(sandboxed, tmp_path: Path) -> None:
    """Neither one in a folder nor one with an abstract name is reached."""
    abstract = f"\0coinfer-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as named, socket.socket(socket.AF_UNIX) as nameless:
        path = tmp_path / "s"
        named.bind(str(path))
        named.listen()
        nameless.bind(abstract)
        nameless.listen()
        refused(
            sandboxed,
            f"socket.socket(socket.AF_UNIX).connect({str(path)!r})",
            f"socket.socket(socket.AF_UNIX).connect({abstract!r})",
        )


def test_files_of_the_machine_cannot_be_read(sandboxed, tmp_path: Path) -> None:
    """No password file, no file of the user, no way back through working folders or links, no installed package."""
    secret = tmp_path / "secret"
    secret.write_text("key")
    refused(
        sandboxed,
        "open('/etc/passwd').read()",
        f"open({str(secret)!r}).read()",
        f"os.listdir({str(Path.home())!r})",
        f"os.listdir({sys.prefix!r})",
        "open('../' * 30 + 'etc/passwd').read()",
        f"[os.symlink({str(secret)!r}, 'link'), open('link').read()]",
        "os.listdir('/proc')",
        "os.listdir('/sys')",
        "os.listdir('/old')",
        "os.open('/dev/mem', 0)",
        "os.open('/dev/tty', 0)",
    )
    listed = sandboxed("import os, sys\nprint(*(n for p in sys.path if 'packages' in p for n in os.listdir(p)))")
    assert listed.stdout.strip() == ""
    found = sandboxed("import os\nprint([r for r, d, f in os.walk('/python') if r.endswith('-packages') and (d or f)])")
    assert found.stdout.strip() == "[]"


def test_no_variable_and_no_open_file_of_the_caller_is_seen(sandboxed, tmp_path, monkeypatch) -> None:
    """A key in the environment is not there, nor by any process's file; descriptors are the three standard ones."""
    monkeypatch.setenv("COINFER_TEST_KEY", "sk-secret")
    with (tmp_path / "open").open("w") as stream:
        os.set_inheritable(stream.fileno(), True)
        ran = sandboxed(
            "import os\nprint(dict(os.environ))\n"
            "def held(fd):\n"
            "    try:\n        os.fstat(fd)\n        return True\n"
            "    except OSError:\n        return False\n"
            "print([fd for fd in range(3000) if held(fd)])\n"
        )
    assert "sk-secret" not in ran.stdout
    assert "COINFER" not in ran.stdout
    assert ran.stdout.splitlines()[-1] == "[0, 1, 2]"
    refused(
        sandboxed,
        "open('/proc/1/environ', 'rb').read()",
        "open(f'/proc/{os.getppid()}/environ', 'rb').read()",
        "open(f'/proc/{os.getppid()}/mem', 'rb').read(1)",
        "os.listdir('/proc/self/root')",
    )


def test_nothing_outside_its_folder_can_be_written(sandboxed) -> None:
    """The root, the interpreter and its library are read-only; the folder is empty, and works."""
    refused(
        sandboxed,
        "open('/new', 'w')",
        "open('/python/new', 'w')",
        "open(os.__file__, 'a')",
        "os.mkdir('/home')",
        "os.mknod('device', 0o600 | 0o020000, os.makedev(1, 1))",
    )
    ran = sandboxed("import os\nprint(os.listdir('.'))\nopen('file', 'w').write('x')\nprint(os.listdir(os.getcwd()))")
    assert (ran.ended, ran.stdout) == ("ok", "[]\n['file']\n")


def test_privileges_cannot_be_had(sandboxed) -> None:
    """No other identity, no namespaces, no mounts, no tracing, no system calls that need rights."""
    libc = "ctypes.CDLL(None, use_errno=True)"
    ran = sandboxed("import os\nprint(os.getuid() > 0, os.geteuid() > 0, os.getgroups() in ([], [65534]))")
    assert ran.stdout == "True True True\n"
    refused(
        sandboxed,
        "os.setuid(0)",
        "os.chroot('/tmp')",
        "os.setgroups([0])",
        "os.sethostname('x') if hasattr(os, 'sethostname') else socket.sethostname('x')",
    )
    calls = {
        "unshare user": f"{libc}.unshare(0x10000000)",
        "unshare network": f"{libc}.unshare(0x40000000)",
        "mount": f"{libc}.mount(b'none', b'/tmp', b'tmpfs', 0, None)",
        "umount": f"{libc}.umount2(b'/tmp', 2)",
        "trace the parent": f"{libc}.ptrace(16, os.getppid() or 1, None, None)",
    }
    program = "import ctypes, os\n" + "".join(f"print({text})\n" for text in calls.values())
    assert sandboxed(program).stdout.split() == ["-1"] * len(calls)


def test_signals_reach_nobody_outside(sandboxed) -> None:
    """Killing its parent, its group, everything: this process lives, and the program's end is known."""
    for target in ("os.kill(os.getppid() or 1, 9)", "os.killpg(0, 9)", "os.kill(-1, 9)", f"os.kill({os.getpid()}, 9)"):
        ran = sandboxed(f"import os, time\nfor _ in range(3):\n    {target}\nprint('alive')")
        assert ran.ended in ("ok", "error", "killed"), ran
    assert sandboxed("print(1)").ended == "ok"


def test_nothing_outlives_the_program(sandboxed) -> None:
    """A daemon (forked twice, in a session of its own, deaf to signals) is gone when the program has ended."""
    mark = f"coinfer-daemon-{os.getpid()}"
    ran = sandboxed(
        textwrap.dedent(f"""
        import os, signal, sys, time
        read, write = os.pipe()
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                for number in (1, 2, 15):
                    signal.signal(number, signal.SIG_IGN)
                os.write(write, b"x")
                os.execv(sys.executable, [sys.executable, "-I", "-S", "-c", "import time; time.sleep(60)", "{mark}"])
            os._exit(0)
        os.read(read, 1)
        print("parent ends")
        """)
    )
    assert (ran.ended, ran.stdout) == ("ok", "parent ends\n")
    for _ in range(100):
        left = [each for each in psutil.process_iter(["cmdline"]) if mark in (each.info["cmdline"] or [])]
        if not left:
            break
        time.sleep(0.02)
    assert left == []


def test_other_programs_are_not_there(sandboxed) -> None:
    """Neither a shell nor any other binary can be started; the interpreter, in the same sandbox, can."""
    refused(sandboxed, "subprocess.run(['/bin/sh', '-c', 'true'])", "os.execv('/usr/bin/env', ['env'])")
    ran = sandboxed(
        "import subprocess, sys\n"
        "made = subprocess.run([sys.executable, '-I', '-S', '-c', 'import os; print(os.listdir(\"/\"))'], "
        "capture_output=True, text=True)\nprint('etc' in made.stdout, made.returncode)"
    )
    assert ran.stdout == "False 0\n"
