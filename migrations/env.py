"""Runs migrations on the connection that botkit hands over; there is no other way in.

``botkit db upgrade`` is the command; ``botkit.store.migrate`` builds Alembic's configuration in code.
"""

from alembic import context

from botkit.store.schema import Base, UtcDateTime

connection = context.config.attributes.get("connection")
if connection is None:
    raise SystemExit("run migrations with 'botkit db upgrade': it knows the database and takes its lock")


def render(kind, value, _autogen):
    """Write our column types as plain ones: a migration must not change when the schema's code does."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(value, UtcDateTime) else False


is_sqlite = connection.dialect.name == "sqlite"
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    render_item=render,
    # SQLite changes a table by making a new one.
    render_as_batch=is_sqlite,
    # Our SQLite connections begin transactions themselves, so there too an upgrade is all or nothing.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
