"""The page in a real browser: it shows its text, breaks no policy, and paints something at desk and phone width."""

from __future__ import annotations

import shutil
import struct
import subprocess
import zlib
from pathlib import Path
from typing import Any

import pytest

from coinfer.planner.report import build

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium on the PATH"),
]


def browse(page: str, folder: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    """Open a page in a browser that has never run before."""
    file = folder / "report.html"
    file.write_text(page, encoding="utf-8")
    command = ["chromium", *FLAGS, f"--user-data-dir={folder / 'user'}", "--enable-logging=stderr", *flags]
    return subprocess.run(
        [*command, file.as_uri()], capture_output=True, text=True, encoding="utf-8", timeout=120, check=True
    )


def colours(file: Path) -> tuple[int, int]:
    """Return the width of a PNG and how many different bytes its packed rows hold (a blank page holds a handful)."""
    data = file.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width = struct.unpack(">I", data[16:20])[0]
    packed, at = b"", 8
    while at < len(data):
        length = struct.unpack(">I", data[at : at + 4])[0]
        if data[at + 4 : at + 8] == b"IDAT":
            packed += data[at + 8 : at + 8 + length]
        at += 12 + length
    return width, len(set(zlib.decompress(packed)))


def test_the_browser_shows_the_page(example: Any, tmp_path: Path) -> None:
    """Title, decision, figures and the absence of a measurement stand in the document the browser built."""
    page = build(problem=example.problem, plan=example.plan, front=example.front, rows=example.rows)
    ran = browse(page, tmp_path, "--dump-dom")

    assert "<title>Plan: mixed fleet</title>" in ran.stdout
    for words in ("3 of 6\u00a0experts", "proven optimal within the budgets", "not measured", "coinfer verify"):
        assert words.replace("\u00a0", "&nbsp;") in ran.stdout
    assert "Content Security Policy" not in ran.stderr  # the style sheet matches the hash in the policy


@pytest.mark.parametrize("width", [1280, 600])
def test_the_browser_paints_the_page(example: Any, tmp_path: Path, width: int) -> None:
    """A screenshot has the width asked for and is not blank."""
    page = build(problem=example.problem, plan=example.plan, front=example.front, rows=example.rows)
    shot = tmp_path / "shot.png"
    browse(page, tmp_path, f"--window-size={width},1600", f"--screenshot={shot}")

    found, variety = colours(shot)
    assert found == width
    assert variety > 64
