"""What draining Celery's queues takes:  python benchmarks/celery_drain.py [--quick]

10,000 messages that a real Celery producer has sent, from Redis and from RabbitMQ, onto SQLite and
PostgreSQL: messages per second from the start of the drain until the last one is a durable job and
acked.  Each figure is the median of five runs (one with ``--quick``).
"""

import asyncio
import logging
import statistics
import sys
import tempfile
import time
from pathlib import Path

from celery import Celery

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT)]

from tests.servers import PostgresServer, RabbitServer, RedisServer  # noqa: E402
from windlass import App  # noqa: E402
from windlass.contrib.celery.drain import CeleryDrain  # noqa: E402

MESSAGES, RUNS = 10_000, 1 if "--quick" in sys.argv else 5


def send(broker: str) -> None:
    """Send the messages, as a producer of Celery does."""
    old = Celery("old", broker=broker, set_as_current=False)
    with old.connection_for_write() as connection, connection.channel() as channel:
        producer = old.amqp.Producer(channel)
        for number in range(MESSAGES):
            old.send_task("shop.sell", (number, "a teapot"), producer=producer)
    old.close()


async def drained(broker: str, store: str) -> float:
    """Return how many messages a second became jobs."""
    app = App(store)

    @app.task(name="shop.sell")
    def sell(number: int, what: str) -> None: ...

    await app.amigrate()
    async with app.session() as client:
        begun = time.perf_counter()
        report = await CeleryDrain(broker).until_empty(app)
        seconds = time.perf_counter() - begun
        counts = await client.counts()
    assert report.taken == sum(counts.values()) == MESSAGES
    return MESSAGES / seconds


def main() -> None:
    """Measure, and print a table."""
    logging.disable(logging.WARNING)
    old_redis, rabbit, postgres = RedisServer(), RabbitServer(), PostgresServer()
    rates: dict[tuple[str, str], list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for run in range(RUNS):
            stores = {
                "SQLite": f"sqlite:///{folder}/jobs-{{}}.db",
                "PostgreSQL": postgres.url("drain_{}"),
            }
            for name, broker in {"Redis": old_redis.url(), "RabbitMQ": rabbit.url}.items():
                for store, url in stores.items():
                    place = f"{name.lower()}_{run}"
                    if store == "PostgreSQL":
                        postgres.create_database(f"drain_{place}")
                    send(broker)
                    rate = asyncio.run(drained(broker, url.format(place)))
                    rates.setdefault((name, store), []).append(rate)
                    print(f"{name} onto {store}: {rate:,.0f} messages/s", flush=True)
    print("\n| messages/s, median [least-most] | SQLite | PostgreSQL |\n|---|---|---|")
    for name in ("Redis", "RabbitMQ"):
        cells = []
        for store in ("SQLite", "PostgreSQL"):
            found = rates[name, store]
            median = statistics.median(found)
            cells.append(f"{median:,.0f} [{min(found):,.0f}-{max(found):,.0f}]")
        print(f"| {name} | {' | '.join(cells)} |")
    for server in (old_redis, rabbit, postgres):
        server.close()


if __name__ == "__main__":
    main()
