"""Alembic's environment: the connection, and its transaction, are the opening store's."""

from alembic import context

from csr_core.annotation.tables import METADATA, VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table=VERSION_TABLE,
)
context.run_migrations()
