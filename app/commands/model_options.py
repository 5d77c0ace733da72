"""Options of verbs that take a registered model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Weights = Annotated[
    Path | None, typer.Option(help="Folder with registry.json and the weights.", show_default="weights")
]
ModelName = Annotated[str | None, typer.Option("--model", help="Name in the registry.", show_default="molecules-small")]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1, ...", show_default="auto")]
