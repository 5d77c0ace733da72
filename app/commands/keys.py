"""API keys: make one, list them, take one back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from app.access.store import KeyStore

_SCOPES = ("sample", "admin")
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}

keys_cli = typer.Typer(
    help="API keys of the service: who may ask.\n\nThey are kept in the service's database, so give these commands the "
    "same SHAPESPACE_STATE_DIR or SHAPESPACE_DATABASE_URL as the service.\n\n"
    "Example: `shapespace keys create alice --expires 90d`",
    no_args_is_help=True,
)


@keys_cli.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Whose key it is.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(help="sample, or admin (metrics and stats); may be repeated.", show_default="sample"),
    ] = None,
    expires: Annotated[
        str | None, typer.Option(help="Time until it ends: 12h, 90d, 52w.", show_default="never")
    ] = None,
    requests_per_minute: Annotated[
        int | None, typer.Option(min=0, help="Sampling requests; 0 is no limit.", show_default="the service's setting")
    ] = None,
    conformers_per_hour: Annotated[
        int | None, typer.Option(min=0, help="Conformers asked for; likewise.", show_default="the service's setting")
    ] = None,
) -> None:
    """Make a key and print it; only a hash of it is kept, so it cannot be printed again.

    Example: `shapespace keys create alice --expires 90d --conformers-per-hour 20000`
    """
    from app.access.keys import make_key

    scopes = frozenset(scope or ["sample"])
    wrong = sorted(scopes - set(_SCOPES))
    if wrong:
        raise typer.BadParameter(f"{wrong[0]!r} is no scope; allowed: {', '.join(_SCOPES)}", param_hint="--scope")
    if not 0 < len(name) <= 200 or not name.isprintable():
        raise typer.BadParameter("1 to 200 printable characters are allowed", param_hint="NAME")
    until = None if expires is None else datetime.now(UTC) + _span(expires)
    key, token = make_key(name, scopes, until, requests_per_minute, conformers_per_hour)
    with _store() as store:
        store.add(key)
    typer.echo(token)
    typer.echo(f"Key {key.id} of {name}; send it as 'Authorization: Bearer KEY'. It is not shown again.", err=True)


@keys_cli.command("list")
def show() -> None:
    """List all keys, oldest first, without their secrets.

    Example: `shapespace keys list`
    """
    from rich.console import Console
    from rich.table import Table

    now = datetime.now(UTC)
    table = Table("id", "name", "scopes", "state", "created", "expires", "requests/min", "conformers/h")
    with _store() as store:
        keys = store.all()
    if not keys:
        typer.echo("There is no key; `shapespace keys create NAME` makes one.", err=True)
        return
    for key in keys:
        quotas = (key.requests_per_minute, key.conformers_per_hour)
        own = ["default" if quota is None else str(quota or "no limit") for quota in quotas]
        until = f"{key.expires:%Y-%m-%d %H:%M}" if key.expires else "never"
        scopes = ", ".join(sorted(key.scopes))
        table.add_row(key.id, key.name, scopes, key.state(now), f"{key.created:%Y-%m-%d %H:%M}", until, *own)
    Console(width=None if Console().is_terminal else 160).print(table)


@keys_cli.command("revoke")
def revoke(
    name: Annotated[str, typer.Argument(metavar="ID", help="As `shapespace keys list` shows it, or the key itself.")],
) -> None:
    """Take a key back; running services notice within seconds.

    Example: `shapespace keys revoke 0123456789ab`
    """
    from app.access.keys import split_token
    from models.errors import ModelError

    shown = split_token(name)
    with _store() as store:
        key = store.revoke(shown[0] if shown else name)
    if key is None:
        raise ModelError(f"there is no key {name!r:.60}; `shapespace keys list` shows the ids")
    typer.echo(f"Key {key.id} of {key.name} is revoked.", err=True)


@contextmanager
def _store() -> Iterator[KeyStore]:
    """The keys of the service that has the same settings."""
    from app.access.store import KeyStore
    from app.database.database import DatabaseError, open_database
    from app.settings import build_settings
    from models.errors import ModelError

    database = open_database(build_settings())
    try:
        database.upgrade()
        yield KeyStore(database)
    except DatabaseError as error:
        raise ModelError(str(error)) from None
    finally:
        database.close()


def _span(text: str) -> timedelta:
    match = re.fullmatch(r"([1-9]\d{0,4})([hdw])", text)
    if match is None:
        raise typer.BadParameter(f"{text!r} is no time; allowed: 12h, 90d, 52w", param_hint="--expires")
    return int(match[1]) * _UNITS[match[2]]
