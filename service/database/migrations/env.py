"""Alembic's way in: one connection, given by ``service.database.migrate``."""

from alembic import context

from service.database.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
