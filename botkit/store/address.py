"""Where a database is: ``database.url``, understood and made safe to show."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from botkit.errors import ConfigError

DATABASE_FILE = "botkit.db"


@dataclass(frozen=True, slots=True)
class Address:
    """A database's address.  ``path`` is the file of SQLite, None for a database in memory or a server.

    ``url`` may hold a password and must never be shown; ``shown`` is for messages.
    """

    url: URL
    path: Path | None
    shown: str

    @property
    def is_sqlite(self) -> bool:
        """Tell whether this is SQLite; the only other kind is PostgreSQL."""
        return self.url.get_backend_name() == "sqlite"

    def __repr__(self) -> str:
        return f"Address({self.shown})"


def default_url(data_dir: Path) -> str:
    """Return the URL that an empty ``database.url`` means: a file in the data folder."""
    return f"sqlite:///{data_dir / DATABASE_FILE}"


def parse_address(url: str) -> Address:
    """Understand *url*; raises ConfigError, without the URL in it, when it is no database of ours."""
    hint = "use sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME"
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise ConfigError("database.url cannot be understood", hint=hint) from None
    kind = parsed.get_backend_name()
    if kind == "sqlite":
        return _sqlite(parsed)
    if kind in ("postgresql", "postgres"):
        parsed = parsed.set(drivername="postgresql+psycopg")
        host = parsed.host or parsed.query.get("host") or "localhost"
        port = f":{parsed.port}" if parsed.port else ""
        return Address(parsed, None, f"postgresql://{host}{port}/{parsed.database or ''}")
    raise ConfigError(f"database.url names '{kind}', which botkit does not use", hint=hint)


def _sqlite(parsed: URL) -> Address:
    name = parsed.database or ""
    if name in ("", ":memory:"):
        return Address(parsed, None, "sqlite in memory")
    path = Path(name).expanduser().absolute()
    return Address(parsed, path, str(path))
