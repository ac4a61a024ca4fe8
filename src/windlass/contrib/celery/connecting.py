"""From a broker's URL to its queues."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from windlass.config import masked_url
from windlass.contrib.celery.amqp_source import AmqpSource
from windlass.contrib.celery.brokers import Connection, Open, Source
from windlass.contrib.celery.redis_source import RedisSource
from windlass.errors import BadBroker

REDIS, AMQP = frozenset({"redis", "rediss"}), frozenset({"amqp", "amqps", "pyamqp"})
CONNECT_S, HEARTBEAT_S = 5.0, 60.0


def check_broker(url: str) -> str:
    """Return the scheme of a broker's URL.  Raises: BadBroker."""
    scheme = urlsplit(url).scheme
    if scheme not in REDIS | AMQP:
        raise BadBroker(masked_url(url), f"nothing here reads from {scheme or 'that'!r}")
    return scheme


def connection_to(url: str, options: Mapping[str, Any]) -> Any:
    """Return a connection, unopened.   options: kombu's ``transport_options``."""
    patience = {"socket_timeout": HEARTBEAT_S, "socket_connect_timeout": CONNECT_S}
    redis = check_broker(url) in REDIS
    return Connection(
        url,
        connect_timeout=CONNECT_S,
        heartbeat=0 if redis else HEARTBEAT_S,
        transport_options={**(patience if redis else {}), **options},
    )


def source_of(url: str, options: Mapping[str, Any]) -> Open:
    """Return what opens queues of a broker.  Raises: BadBroker."""
    if check_broker(url) in REDIS:
        made: Callable[..., Source] = RedisSource
    else:
        made = AmqpSource

    @contextmanager
    def opened(queues: Sequence[str]) -> Iterator[Source]:
        with connection_to(url, options) as connection:
            connection.connect()
            yield made(connection, queues)

    return opened
