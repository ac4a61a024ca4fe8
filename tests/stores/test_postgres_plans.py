"""The plans of the hot statements, with a million rows queued and a million finished."""

import asyncio
import json
from typing import Any

import asyncpg
import pytest

from tests.servers import PostgresServer
from windlass.stores.postgres import (
    PostgresStore,
    edge_sql,
    progress,
    results,
    sql,
    wait_sql,
)

pytestmark = pytest.mark.postgres

NINE_LANES = [f"lane{n}" for n in range(9)]
ROWS, LIMITED = 1_000_000, 200_000
FILL = """
INSERT INTO windlass_jobs (id, task, queue, state, priority, created_at, due_at, ended_at, payload)
SELECT lpad(n::text, 36, '0'), 't', 'q' || n % 3, $1, 0, now(), now(),
       CASE WHEN $1 = 'succeeded' THEN now() END, '{}'
  FROM generate_series($2::int, $3::int) AS n
"""
FILL_LANES = """
INSERT INTO windlass_jobs (id, task, queue, state, priority, created_at, due_at, payload, lane,
                           limits)
SELECT lpad(n::text, 36, '0'), 't', 'q1', 'queued', 0, now(), now(), '{}', 'lane' || n % 1000, '{}'
  FROM generate_series($1::int, $2::int) AS n
"""
# A hundred thousand jobs that wait by a rule, for two jobs each.
FILL_WAITS = """
WITH waits AS (
    INSERT INTO windlass_waits (job_id, rule, parents)
    SELECT lpad(n::text, 36, '0'), 'all_done', 2 FROM generate_series(1, 100000) AS n
)
INSERT INTO windlass_edges (child_id, place, parent_id)
SELECT lpad(n::text, 36, '0'), place, lpad((1000000 + n * 10 + place)::text, 36, '0')
  FROM generate_series(1, 100000) AS n, generate_series(0, 1) AS place
"""
WORKER = """
INSERT INTO windlass_workers (id, host, pid, queues, slots, started_at, lease_until)
VALUES ('w', 'h', 1, '{}', 1, now(), now() + interval '1 hour')
"""


async def _fill(url: str, *, analyze: bool) -> None:
    store = PostgresStore(url)
    await store.migrate()
    await store.close()
    connection = await asyncpg.connect(url)
    try:
        for table in ("jobs", "edges", "waits"):
            off = f"ALTER TABLE windlass_{table} SET (autovacuum_enabled = off)"
            await connection.execute(off)
        if analyze:
            await connection.execute("ANALYZE windlass_jobs")
        await connection.execute(FILL, "succeeded", 1, ROWS)
        await connection.execute(FILL, "queued", ROWS + 1, 2 * ROWS)
        await connection.execute(FILL_LANES, 2 * ROWS + 1, 2 * ROWS + LIMITED)
        await connection.execute(FILL_WAITS)
        if analyze:
            await connection.execute("ANALYZE windlass_jobs, windlass_edges, windlass_waits")
        await connection.execute(WORKER)
    finally:
        await connection.close()


@pytest.fixture(scope="module", params=["stale statistics", "fresh statistics"])
def filled(request: pytest.FixtureRequest, postgres_server: PostgresServer) -> str:
    """A database with two million jobs; with and without statistics of them."""
    url = postgres_server.create_database("plans")
    asyncio.run(_fill(url, analyze=request.param == "fresh statistics"))
    return url


async def _plan(url: str, begin: str, statement: str, *values: Any) -> dict[str, Any]:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(begin)
        text = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}"
        [[plan]] = await connection.fetch(text, *values)
        await connection.execute("ROLLBACK")
    finally:
        await connection.close()
    [top] = json.loads(plan)
    return dict(top)


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the nodes of a plan, the top one first."""
    below = [node for child in plan.get("Plans", []) for node in nodes(child)]
    return [plan, *below]


def scans_of(plan: dict[str, Any], table: str = "windlass_jobs") -> set[str]:
    """Return how a plan reads a table."""
    return {
        f"{node['Node Type']} {node.get('Index Name', '')}".strip()
        for node in nodes(plan["Plan"])
        if node.get("Relation Name") == table and "Scan" in node["Node Type"]
    }


@pytest.mark.parametrize(
    ("statement", "line"), [(sql.CLAIM_JOBS, "q1"), (sql.CLAIM_JOBS_OF_QUEUES, ["q0", "q1", "q2"])]
)
async def test_a_claim_reads_its_index_in_order_and_no_more_than_it_takes(
    filled: str, statement: str, line: Any
) -> None:
    plan = await _plan(filled, sql.BEGIN_CLAIM, statement, "w", line, 200)
    claim_scan = next(
        node for node in nodes(plan["Plan"]) if node.get("Index Name") == "windlass_jobs_claim"
    )
    sorted_rows = [
        node["Actual Rows"] for node in nodes(plan["Plan"]) if node["Node Type"] == "Sort"
    ]

    assert scans_of(plan) == {
        "Index Scan windlass_jobs_claim",
        "Index Scan windlass_jobs_pkey",
        "Index Only Scan windlass_jobs_lanes",  # one probe: are there lanes?
    }
    assert [
        node["Actual Rows"] * node["Actual Loops"]
        for node in nodes(plan["Plan"])
        if node.get("Index Name") == "windlass_jobs_lanes"
    ] == [1]
    assert claim_scan["Actual Rows"] <= 200
    assert max(sorted_rows, default=0) <= 200
    assert plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"] < 20_000


@pytest.mark.parametrize(
    ("statement", "values", "rows"),
    [
        (sql.FIND_LANES, ("q1", "", None, 50), 51),
        (
            sql.FIND_CLAIMABLE_OF_LANES,
            (["q1"] * 9, [f"lane{n}" for n in range(9)], [5] * 9, True),
            45,
        ),
        (sql.FIND_CLAIMABLE, (["q0", "q1"], 200, False), 400),
        (sql.IS_GATED, (["q0", "q1"],), 1),
    ],
)
async def test_a_claim_in_lanes_reads_its_index_in_order_and_no_more_than_it_needs(
    filled: str, statement: str, values: Any, rows: int
) -> None:
    plan = await _plan(filled, sql.BEGIN_CLAIM, statement, *values)
    read = sum(
        node["Actual Rows"] * node["Actual Loops"]
        for node in nodes(plan["Plan"])
        if node.get("Relation Name") == "windlass_jobs"
    )

    assert {scan.split(" using ")[0] for scan in scans_of(plan)} <= {
        "Index Scan windlass_jobs_lanes",
        "Index Only Scan windlass_jobs_lanes",
        "Index Scan windlass_jobs_claim",
    }
    assert read <= rows


async def test_a_settle_finds_its_rows_by_their_ids_alone(filled: str) -> None:
    ids = [str(n).zfill(36) for n in range(ROWS + 1, ROWS + 201)]
    none = [None] * 200
    columns = [ids, [0] * 200, ["queued"] * 200, ["cancelled"] * 200, [0] * 200, [0] * 200,
               none, [0.0] * 200, none, none, none, none, False]  # fmt: skip
    plan = await _plan(filled, "BEGIN", sql.SETTLE_JOBS, *columns)

    assert scans_of(plan) == {"Index Scan windlass_jobs_pkey"}


async def test_progress_finds_its_rows_by_their_ids_alone(filled: str) -> None:
    ids = [str(n).zfill(36) for n in range(ROWS + 1, ROWS + 201)]
    columns = [ids, [0] * 200, [0.5] * 200, [""] * 200, ["queued"] * 200]
    plan = await _plan(filled, "BEGIN", progress.KEEP_PROGRESS, *columns)

    assert scans_of(plan) == {"Index Scan windlass_jobs_pkey"}


async def test_late_results_are_found_by_their_index(filled: str) -> None:
    plan = await _plan(filled, "BEGIN", results.DROP_RESULTS, 1_000)

    assert "Index Scan windlass_jobs_results" in scans_of(plan)
    assert not any(scan.startswith("Seq Scan") for scan in scans_of(plan))


async def test_ends_are_told_and_counted_by_ids_alone(filled: str) -> None:
    """Whatever the statistics say: 200 jobs that end cost what they cost, not what there is."""
    parents = [str(n).zfill(36) for n in range(ROWS + 10, ROWS + 2_010, 10)]
    children = [str(n).zfill(36) for n in range(1, 201)]
    states = ["failed"] * 200
    told: list[tuple[str, tuple[Any, ...]]] = [
        (wait_sql.LOCK_WAITS, (parents, None)),
        (wait_sql.COUNT_ENDS, (parents, states, children)),
        (wait_sql.FIND_CAUSES, (children, states, "")),
        (wait_sql.DECIDE_WAITING, (children, states, [b""] * 200, "")),
        (edge_sql.GIVE_UP, (parents, states, [b""] * 200, None, "")),
        (edge_sql.FIND_ENDED_BELOW, (parents, "")),
    ]
    for statement, values in told:
        plan = await _plan(filled, f"BEGIN; {edge_sql.PLAN_BY_ID}", statement, *values)
        read = plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"]
        tables = ("windlass_jobs", "windlass_edges", "windlass_waits")
        scans = set().union(*(scans_of(plan, table) for table in tables))

        assert not any(scan.startswith("Seq Scan") for scan in scans), (statement, scans)
        assert read < 10_000, (statement, read)
