"""How far each bot has read its platform; saved in the transaction that stores what was read."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from botkit.store.rows import table_of
from botkit.store.schema import CursorRow


def save_cursor(session: Session, platform: str, bot: str, position: str, now: datetime) -> None:
    """Keep *position* as the place up to which *bot* has read *platform*."""
    table = table_of(CursorRow)
    dialect = sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
    statement = dialect.insert(table)
    newer = {"position": statement.excluded.position, "updated_at": statement.excluded.updated_at}
    session.execute(
        statement.on_conflict_do_update(index_elements=["platform", "bot"], set_=newer),
        {"platform": platform, "bot": bot, "position": position, "updated_at": now},
    )


def read_cursor(session: Session, platform: str, bot: str) -> str | None:
    """Return the place up to which *bot* has read *platform*, or None before the first."""
    return session.execute(
        select(CursorRow.position).where(CursorRow.platform == platform, CursorRow.bot == bot)
    ).scalar()
