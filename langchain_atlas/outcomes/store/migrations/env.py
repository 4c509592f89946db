"""Applies migrations over the connection that `Database` hands in."""

from alembic import context

from langchain_atlas.outcomes.store.schema import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table="atlas_version",
    transactional_ddl=False,  # the caller's transaction holds all of it
)
context.run_migrations()
