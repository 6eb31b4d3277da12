"""What can go wrong with a database, in one line each; SQLAlchemy's exceptions end here."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from botkit.errors import StoreError
from botkit.store.address import Address

_IN_USE = "another program is using it; stop that one, or use PostgreSQL for several processes"
_FREE_SPACE = "free some space; nothing that was confirmed is lost"

# By the beginning of SQLite's own error name: what happened, what to do.
_SQLITE = {
    "SQLITE_BUSY": ("is locked", _IN_USE),
    "SQLITE_LOCKED": ("is locked", _IN_USE),
    "SQLITE_READONLY": ("is read-only", "make the file and its folder writable"),
    "SQLITE_FULL": ("cannot grow: the disk is full", _FREE_SPACE),
    "SQLITE_CANTOPEN": ("cannot be opened", "check that the folder exists and is writable"),
    "SQLITE_CORRUPT": ("is damaged", "restore a copy made by 'botkit db backup'"),
    "SQLITE_NOTADB": ("is not a database file", "check database.url"),
    "SQLITE_IOERR": ("cannot be read or written: the disk failed", "check the disk and its free space"),
}

# By the beginning of PostgreSQL's SQLSTATE.
_POSTGRES = {
    "3D000": ("does not exist", "create it with 'createdb', or check database.url"),
    "28": ("refused our user name or password", "check database.url"),
    "53100": ("cannot grow: the disk is full", _FREE_SPACE),
    "53300": ("has too many clients", "raise max_connections, or stop another client"),
    "25006": ("is read-only", "name the primary server in database.url, not a standby"),
    "57014": (
        "took too long over a statement",
        "the server is overloaded, or another transaction holds a lock",
    ),
    "57P": ("is shutting down or starting", "it will answer again by itself"),
    "08": ("cannot be reached", "check that the server runs and that database.url names it"),
    "40": ("gave way to another transaction", "try again"),
    "55P03": ("is locked", "another transaction holds a lock"),
    "42501": ("does not let our user do that", "grant the user rights on the schema 'public'"),
}

# Connections that never came to be have no SQLSTATE in the driver, only libpq's words.
_POSTGRES_WORDS = {
    "does not exist": _POSTGRES["3D000"],
    "authentication failed": _POSTGRES["28"],
    "no password supplied": _POSTGRES["28"],
    "too many clients": _POSTGRES["53300"],
    "starting up": _POSTGRES["57P"],
    "shutting down": _POSTGRES["57P"],
    "could not translate host name": ("cannot be found: its host name is unknown", "check database.url"),
    "failed to resolve host": ("cannot be found: its host name is unknown", "check database.url"),
    "connection refused": (
        "refused the connection",
        "check that the server runs and that database.url names it",
    ),
}
_UNREACHABLE = _POSTGRES["08"]


def translate(error: SQLAlchemyError | OSError, address: Address) -> StoreError:
    """Return the StoreError that says *error* in one line; no statement, value or password is in it."""
    what, hint = _explain(error, address)
    return StoreError(f"the database {address.shown} {what}", hint=hint)


def _explain(error: SQLAlchemyError | OSError, address: Address) -> tuple[str, str]:
    if isinstance(error, PoolTimeout):
        return ("has no free connection", "the server is slow; look at its load")
    if isinstance(error, IntegrityError):
        return (f"refused a row: {_first_line(error.orig)}", "this is a fault of botkit; please report it")
    if isinstance(error, DBAPIError):
        return _sqlite(error) if address.is_sqlite else _postgres(error)
    if isinstance(error, OSError):
        return (f"cannot be used: {error.strerror or error}", "check the folder's rights and free space")
    return (f"was used wrongly ({type(error).__name__})", "this is a fault of botkit; please report it")


def _sqlite(error: DBAPIError) -> tuple[str, str]:
    name = getattr(error.orig, "sqlite_errorname", "") or ""
    for beginning, told in _SQLITE.items():
        if name.startswith(beginning):
            return told
    return (f"failed: {_first_line(error.orig)}", "")


def _postgres(error: DBAPIError) -> tuple[str, str]:
    state = getattr(error.orig, "sqlstate", None) or ""
    for beginning, told in _POSTGRES.items():
        if state and state.startswith(beginning):
            return told
    words = str(error.orig).lower()
    if not state:
        for part, told in _POSTGRES_WORDS.items():
            if part in words:
                return told
        if error.connection_invalidated or "connection" in words:
            return _UNREACHABLE
    return (f"failed: {_first_line(error.orig)}", "")


def _first_line(error: object) -> str:
    """Return the driver's first line: it names constraints and columns; the values come in later ones."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
