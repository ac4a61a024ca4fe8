"""The schema of each released migration, as it was: ``schemas/<store>-<number>.sql``.

    python -m tests.stores.schema_dumps

writes those of the newest migration; the older ones are never written again.
"""

import asyncio
import subprocess
import tempfile
from pathlib import Path

import apsw

from tests.servers import PostgresServer
from windlass.portal import drive
from windlass.stores.postgres import PostgresStore
from windlass.stores.postgres import migrations as postgres_migrations
from windlass.stores.sqlite import SqliteStore
from windlass.stores.sqlite import migrations as sqlite_migrations

FOLDER = Path(__file__).with_name("schemas")
NOISE = ("--", "\\", "SET ", "SELECT pg_catalog")


def dump_sqlite(path: Path) -> str:
    """Return the statements that make the schema of a file, and its lists of fixed rows."""
    connection = apsw.Connection(str(path))
    made = connection.execute(
        "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY type = 'trigger', rowid"
    ).fetchall()
    rows = [
        f"INSERT INTO {table} VALUES ({', '.join(str(apsw.format_sql_value(v)) for v in row)})"
        for table in ("windlass_migrations", "windlass_moves", "windlass_sweeps")
        for row in connection.execute(_ROWS.format(table)).fetchall()
    ]
    connection.close()
    return ";\n".join([str(sql) for (sql,) in made] + rows) + ";\n"


_ROWS = "SELECT * FROM {} ORDER BY 1, 2"


def load_sqlite(text: str, path: Path) -> None:
    """Make a file of a dump."""
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA journal_mode = wal").fetchall()
    connection.execute(text)
    connection.close()


def dump_postgres(server: PostgresServer, url: str) -> str:
    """Return what pg_dump tells of a database: its schema, and the journal's rows."""
    schema = _told(server.tool("pg_dump"), "--schema-only", "--no-owner", url)
    rows = _told(
        server.tool("pg_dump"), "--data-only", "--column-inserts", "-t", "windlass_migrations", url
    )
    lines = [line for line in (schema + rows).splitlines() if line and not line.startswith(NOISE)]
    return "\n".join(lines) + "\n"


def load_postgres(server: PostgresServer, text: str, url: str) -> None:
    """Fill an empty database from a dump."""
    _told(server.tool("psql"), "-q", "-v", "ON_ERROR_STOP=1", "-d", url, told=text)


def _told(*command: str, told: str | None = None) -> str:
    ended = subprocess.run(command, input=told, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def main() -> None:
    """Write the dumps of the newest migrations."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fresh.db"
        store = SqliteStore(path)
        drive(store.migrate())
        drive(store.close())
        name = f"sqlite-{sqlite_migrations.NEWEST}.sql"
        (FOLDER / name).write_text(dump_sqlite(path))
    with PostgresServer() as server:
        url = server.create_database("fresh")
        asyncio.run(migrate_postgres(url))
        name = f"postgres-{postgres_migrations.NEWEST}.sql"
        (FOLDER / name).write_text(dump_postgres(server, url))


async def migrate_postgres(url: str) -> list[int]:
    """Bring a database to the newest schema."""
    store = PostgresStore(url)
    try:
        return await store.migrate()
    finally:
        await store.close()


if __name__ == "__main__":
    main()
