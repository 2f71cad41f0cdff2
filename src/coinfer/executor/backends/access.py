"""What services over HTTP share: keys, and whether an address is this machine's."""

from __future__ import annotations

import ipaddress
import os

from coinfer.errors import InputError, Plain


def read_key(variable: str | None) -> str | None:
    """Return the key that an environment variable holds."""
    if variable is None:
        return None
    key = os.environ.get(variable, "").strip()
    if not key:
        raise InputError("api_key_env", expected="a variable that holds a key", found=Plain(f"{variable} is not set"))
    if not (key.isascii() and key.isprintable()):
        raise InputError("api_key_env", expected="a key of printable ASCII", found=Plain(f"other text in {variable}"))
    return key


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


SHORTEST_SECRET = 8
"""Characters from which on a key is taken for a secret: ``EMPTY`` and the like are words that answers may hold."""


def without_key(text: str, key: str | None) -> str:
    """Return what a service said without the key, should it repeat it: what it writes reaches files and others."""
    return text if key is None or len(key) < SHORTEST_SECRET else text.replace(key, "***")
