"""Alembic's migrations of the store's tables, newest last; `Database` applies them."""
