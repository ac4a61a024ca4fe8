"""The store on a PostgreSQL server, version 15 or later; correct through poolers too."""

from windlass.stores.postgres.store import PostgresStore

__all__ = ["PostgresStore"]
