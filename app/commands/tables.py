"""Tables on the terminal."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table

_WIDE = 200  # columns where there is no terminal, so that nothing is cut


def new_table(*columns: str, whole: tuple[str, ...] = ()) -> Table:
    """A table without rows; columns in `whole` are never broken into lines."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=column in whole, overflow="fold")
    return table


def show(table: Table) -> None:
    """Print a table on standard output."""
    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        console = Console(markup=False, highlight=False, width=_WIDE)
    console.print(table)
