"""Celery's queues on RabbitMQ.

What is reserved belongs to the channel: it goes back to its queue, to where it stood, when the
channel is closed, in order or with the process.
"""

import logging
from collections import deque
from collections.abc import Sequence
from functools import partial
from itertools import islice
from typing import Any

from windlass.contrib.celery.brokers import Consumer, Delivery, NotFound, Queue

log = logging.getLogger("windlass.celery.drain")

QUIET_S = 0.1  # without a message for so long, nothing is on its way
WINDOW = 2_000  # messages that the broker sends ahead


class AmqpSource:
    """The queues, read by consumers that the broker sends to."""

    def __init__(self, connection: Any, queues: Sequence[str]) -> None:
        self._connection = connection
        self._queues = list(queues)
        self._missing: set[str] = set()
        self._channel: Any = None  # of the consumers; the other one is broken by a missing queue
        self._asking: Any = None
        self._consumers: list[Any] = []
        self._arrived: deque[Delivery] = deque()

    def reserve(self, limit: int) -> list[Delivery]:
        """Take up to ``limit`` messages out of everybody's sight."""
        self.beat()
        for _ in range(2):
            if not self._consumers and not self._consume():
                break
            self._receive(limit)
            if self._arrived:
                break
            self._cancel()  # if anything waits, the window is full of what is left: open another
        found = list(islice(self._arrived, limit))
        for _ in found:
            self._arrived.popleft()
        return found

    def _receive(self, limit: int) -> None:
        while len(self._arrived) < limit:
            try:
                self._connection.drain_events(timeout=QUIET_S)
            except TimeoutError:
                return

    def _consume(self) -> bool:
        """Have the broker send what waits; tell whether there is anything."""
        waiting = [name for name in self._queues if self._ready(name)]
        if waiting and self._channel is None:
            self._channel = self._connection.channel()
        for name in waiting:
            arrive = partial(self._arrive, name)
            consumer = Consumer(
                self._channel,
                [Queue(name)],
                auto_declare=False,
                on_message=arrive,
                on_decode_error=lambda message, _, arrive=arrive: arrive(message),
                prefetch_count=WINDOW,
            )
            consumer.consume()
            self._consumers.append(consumer)
        return bool(waiting)

    def _cancel(self) -> None:
        for consumer in self._consumers:
            consumer.cancel()
        self._consumers.clear()

    def _arrive(self, queue: str, message: Any) -> None:
        urgency = int(message.properties.get("priority") or 0)
        returns = int((message.headers or {}).get("x-delivery-count") or 0)
        self._arrived.append(Delivery(queue, message.delivery_tag, message, urgency, returns))

    def _ready(self, queue: str) -> bool:
        """Tell whether messages wait in a queue that nobody has reserved."""
        if self._asking is None:
            self._asking = self._connection.channel()
        try:
            found = self._asking.queue_declare(queue=queue, passive=True)
        except NotFound:  # and the broker has closed this channel
            self._asking = None
            if queue not in self._missing:
                self._missing.add(queue)
                log.warning("the broker has no queue %r; it is looked for again", queue)
            return False
        self._missing.discard(queue)
        ready: bool = found.message_count > 0
        return ready

    def keep(self, deliveries: Sequence[Delivery]) -> None:
        """Do nothing: what is reserved is the channel's."""

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Delete reserved messages from the broker."""
        for delivery in deliveries:
            self._channel.basic_ack(delivery.place)

    def put_back(self, deliveries: Sequence[Delivery]) -> None:
        """Give all reserved messages back to where they stood in their queues."""
        channel, self._channel = self._channel, None
        self._consumers.clear()
        self._arrived.clear()
        if channel is not None:
            channel.close()

    def reserved_by_others(self) -> None:
        """Return None: RabbitMQ does not tell its clients."""

    def beat(self) -> None:
        """Send a sign of life where one is due, and look for the broker's."""
        self._connection.heartbeat_check()
