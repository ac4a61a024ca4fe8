"""A store that was made by an older release and migrated is the same as a fresh one."""

import re
from pathlib import Path

import pytest

from tests.servers import PostgresServer
from tests.stores import schema_dumps
from windlass.portal import drive
from windlass.stores.postgres import migrations as postgres_migrations
from windlass.stores.sqlite import SqliteStore
from windlass.stores.sqlite import migrations as sqlite_migrations

SQLITE = [migration.number for migration in sqlite_migrations.MIGRATIONS]
POSTGRES = [migration.number for migration in postgres_migrations.MIGRATIONS]
INSTANT = re.compile(r"'?\d{4}-\d\d-\d\d [\d:.+]+'?|\b\d{16}\b")


def without_instants(dump: str) -> str:
    """Leave out when each migration was applied."""
    return INSTANT.sub("?", dump)


def dump_of(store: str, number: int) -> str:
    return (schema_dumps.FOLDER / f"{store}-{number}.sql").read_text()


def test_migrations_are_numbered_without_a_gap() -> None:
    assert list(range(1, len(SQLITE) + 1)) == SQLITE
    assert list(range(1, len(POSTGRES) + 1)) == POSTGRES


@pytest.mark.parametrize("number", SQLITE)
def test_a_migrated_file_is_the_same_as_a_fresh_one(number: int, tmp_path: Path) -> None:
    old, fresh = tmp_path / "old.db", tmp_path / "fresh.db"
    schema_dumps.load_sqlite(dump_of("sqlite", number), old)
    assert _migrate(old) == SQLITE[number:]
    assert _migrate(fresh) == SQLITE

    migrated, made = schema_dumps.dump_sqlite(old), schema_dumps.dump_sqlite(fresh)

    assert without_instants(migrated) == without_instants(made)


def _migrate(path: Path) -> list[int]:
    store = SqliteStore(path)
    try:
        return drive(store.migrate())
    finally:
        drive(store.close())


@pytest.mark.postgres
@pytest.mark.parametrize("number", POSTGRES)
async def test_a_migrated_database_is_the_same_as_a_fresh_one(
    number: int, postgres_server: PostgresServer
) -> None:
    server = postgres_server
    old = server.create_database(f"migrated_from_{number}")
    fresh = server.create_database(f"fresh_beside_{number}")
    schema_dumps.load_postgres(server, dump_of("postgres", number), old)
    assert await schema_dumps.migrate_postgres(old) == POSTGRES[number:]
    assert await schema_dumps.migrate_postgres(fresh) == POSTGRES

    migrated, made = (_loaded_once_more(server, url) for url in (old, fresh))

    assert without_instants(migrated) == without_instants(made)


def _loaded_once_more(server: PostgresServer, url: str) -> str:
    """Return the dump of a loaded dump, in which the server has set its brackets anew."""
    again = server.create_database("loaded_once_more")
    schema_dumps.load_postgres(server, schema_dumps.dump_postgres(server, url), again)
    return schema_dumps.dump_postgres(server, again)
