"""Text of callers in files: nothing of it can break out of its place."""

from __future__ import annotations

import re
from collections.abc import Iterable


def one_line(text: str) -> str:
    """Text that cannot break out of its line or start a new record in a file."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff$]+", " ", text).strip()[:80]


def block_name(text: str, taken: Iterable[str], fallback: str = "molecule") -> str:
    """Name of a CIF data block: printable, without blanks, and not among those that are taken."""
    base = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in one_line(text)) or fallback
    name, number = base, 1
    lower = {key.lower() for key in taken}  # CIF does not tell cases apart
    while name.lower() in lower:
        number += 1
        name = f"{base}_{number}"
    return name


def cif_text(text: str) -> str:
    """Text that biotite quotes where CIF asks for quotes: a blank or a new line at the end makes it do so."""
    if text.startswith("_") and "'" in text:
        return f"{text}\n"
    reserved = text.lower().startswith(("data_", "save_", "loop_", "stop_", "global_"))
    special = text[:1] in ("#", "$", "[", "]", ";", "?", ".") or not text.isascii()
    return f"{text} " if reserved or special else text
