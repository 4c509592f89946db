"""Applies migrations over the connection that `Database` hands in; Alembic runs this module."""

from alembic import context

from langchain_atlas.outcomes.store.schema import METADATA

if hasattr(context, "config"):  # where Alembic runs it, and not where it is merely imported
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=METADATA,
        version_table="atlas_version",
        transactional_ddl=False,  # the caller's transaction holds all of it
    )
    context.run_migrations()
