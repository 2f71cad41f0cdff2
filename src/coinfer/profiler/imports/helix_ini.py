"""Reads the ini dialect of Helix: sections of ``name = value``, quantities with units, Python lists."""

from __future__ import annotations

import ast
import configparser
import math
from pathlib import Path

from coinfer import jsonfile
from coinfer.errors import Plain, ProfileError

# Helix counts in bytes: in its own programs a link of "1000 * mbps" carries 1e9 bytes a second.
_UNITS = {
    "kbps": 1e3,
    "mbps": 1e6,
    "gbps": 1e9,
    "KB": 1e3,
    "MB": 1e6,
    "GB": 1e9,
    "Byte": 1.0,
    "Sec": 1.0,
    "MilliSec": 1e-3,
    "MicroSec": 1e-6,
}
_LONGEST_LIST = 1_000_000


class IniFile:
    """The sections of one file; whatever is wrong is an error that names the section.

    Raises
    ------
    ProfileError
        If the file is no ini file, or has a section or a name twice.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._parser = configparser.ConfigParser(interpolation=None, default_section="")
        self._parser.optionxform = str  # type: ignore[assignment,method-assign]
        try:
            self._parser.read_string(jsonfile.read_text(path), source=str(path))
        except configparser.Error as error:
            reason = Plain(str(error).replace("\n", " "))
            raise ProfileError(
                str(path), expected="an ini file with each section and name once", found=reason
            ) from error

    @property
    def sections(self) -> list[str]:
        """The names of the sections, in the order of the file."""
        return self._parser.sections()

    def names(self, section: str) -> list[str]:
        """Return the names in a section."""
        self._need(section)
        return list(self._parser[section])

    def text(self, section: str, name: str) -> str:
        """Return a value as it stands, without quotes around it."""
        self._need(section)
        found = self._parser[section].get(name)
        if found is None:
            raise ProfileError(f"{self.path}: [{section}]", expected=f"a value for {name}", found=Plain("none"))
        return found.strip().strip("\"'")

    def quantity(self, section: str, name: str, *, least: float = 0.0) -> float:
        """Return a number in bytes, bytes per second or seconds, written as ``1000 * mbps`` or plainly."""
        text = self.text(section, name)
        number, _, unit = (part.strip() for part in text.partition("*"))
        try:
            value = float(number) * _UNITS[unit] if unit else float(number)
        except (ValueError, KeyError):
            value = math.nan
        if not least <= value < math.inf:
            expected = f"a number of at least {least:g}, with one of the units {', '.join(_UNITS)}"
            raise ProfileError(f"{self.path}: [{section}] {name}", expected=expected, found=text)
        return value

    def whole(self, section: str, name: str, *, least: int) -> int:
        """Return an integer."""
        text = self.text(section, name)
        if not (text.isascii() and text.isdigit() and len(text) <= 15 and int(text) >= least):
            where = f"{self.path}: [{section}] {name}"
            raise ProfileError(where, expected=f"an integer, at least {least}", found=text)
        return int(text)

    def listed(self, section: str, name: str) -> list[int | str]:
        """Return a list of integers and strings, written as Python writes it."""
        text = self.text(section, name)
        where = f"{self.path}: [{section}] {name}"
        try:
            found = ast.literal_eval(text) if len(text) <= _LONGEST_LIST else None
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            found = None
        if not isinstance(found, list) or not all(type(item) in (int, str) for item in found):
            raise ProfileError(where, expected="a list of numbers and names", found=text)
        return found

    def _need(self, section: str) -> None:
        if section not in self._parser:
            raise ProfileError(str(self.path), expected=f"a section [{section}]", found=Plain("none"))
