"""Celery's queues on Redis.

kombu's own reader pops a message and then notes it among the unacked ones: who is killed between
the two loses it.  Here one script does both, and leaves what kombu's would leave, so that any
Celery worker, or another drain, gives back what a killed drain had reserved.
"""

import json
import math
import time
from collections.abc import Iterator, Sequence
from typing import Any

from windlass.contrib.celery.brokers import Delivery

RESERVED_S = 60.0  # after this long others may have what a killed drain had reserved
RESTORE_S = 10.0  # between two looks for what killed workers had reserved
BY_ONE_CALL = 500

# KEYS: list, unacked, its index.  ARGV: limit, score, the queue's name as JSON.
# What is no message goes round to the end of the list, and is told.
RESERVE = """
local reserved, broken = {}, {}
local raws = redis.call('LRANGE', KEYS[1], -tonumber(ARGV[1]), -1)
for n = #raws, 1, -1 do
    local raw = raws[n]
    local is_json, message = pcall(cjson.decode, raw)
    local tag = nil
    if is_json and type(message) == 'table' and type(message['properties']) == 'table' then
        tag = message['properties']['delivery_tag']
    end
    if type(tag) == 'string' then
        redis.call('HSET', KEYS[2], tag, '[' .. raw .. ',"",' .. ARGV[3] .. ']')
        redis.call('ZADD', KEYS[3], ARGV[2], tag)
        reserved[#reserved + 1] = raw
    else
        redis.call('LPUSH', KEYS[1], raw)
        broken[#broken + 1] = raw
    end
    redis.call('RPOP', KEYS[1])
end
return {reserved, broken}
"""

# KEYS: index.  ARGV: the new score; tag, score, and so on.
KEEP = """
for n = 2, #ARGV, 2 do
    local score = redis.call('ZSCORE', KEYS[1], ARGV[n])
    if score and tonumber(score) == tonumber(ARGV[n + 1]) then
        redis.call('ZADD', KEYS[1], ARGV[1], ARGV[n])
    end
end
"""

# KEYS: list, unacked, its index.  ARGV: tag, score, message, and so on.
# Only what still has this drain's score: after that somebody else may have reserved it.
PUT_BACK = """
for n = 1, #ARGV, 3 do
    local score = redis.call('ZSCORE', KEYS[3], ARGV[n])
    if score and tonumber(score) == tonumber(ARGV[n + 1]) then
        redis.call('ZREM', KEYS[3], ARGV[n])
        redis.call('HDEL', KEYS[2], ARGV[n])
        redis.call('LPUSH', KEYS[1], ARGV[n + 2])
    end
end
"""


class Place:
    """Where a message came from, and how it is known there."""

    __slots__ = ("list", "raw", "score", "tag")

    def __init__(self, key: str, raw: bytes, tag: str | None, score: float) -> None:
        self.list, self.raw, self.tag, self.score = key, raw, tag, score


class RedisSource:
    """The lists of Celery's queues; those of higher priority first."""

    def __init__(self, connection: Any, queues: Sequence[str]) -> None:
        self._channel = channel = connection.channel()
        self._client = channel.client
        prefix = channel.global_keyprefix
        self._unacked = f"{prefix}{channel.unacked_key}"
        self._index = f"{prefix}{channel.unacked_index_key}"
        self._lists = [
            (queue, f"{prefix}{queue}{channel.sep}{step}" if step else f"{prefix}{queue}")
            for step in channel.priority_steps
            for queue in queues
        ]
        self._told: set[bytes] = set()
        self._restored_at = -math.inf

    def reserve(self, limit: int) -> list[Delivery]:
        """Take up to ``limit`` messages out of everybody's sight."""
        self._restore_visible()
        deliveries: list[Delivery] = []
        for queue, key in self._lists:
            if len(deliveries) < limit:
                deliveries += self._reserve_from(queue, key, limit - len(deliveries))
        return deliveries

    def _score(self) -> float:
        # Others count from when it was reserved, and wait for as long as they are told to.
        timeout_s = float(self._channel.visibility_timeout)
        return time.time() - max(timeout_s - RESERVED_S, 0.0)

    def _reserve_from(self, queue: str, key: str, limit: int) -> Iterator[Delivery]:
        score = self._score()
        keys = (key, self._unacked, self._index)
        arguments = (limit, repr(score), json.dumps(queue))
        reserved, broken = self._client.eval(RESERVE, len(keys), *keys, *arguments)
        for raw in reserved:
            facts = json.loads(raw)
            place = Place(key, raw, facts["properties"]["delivery_tag"], score)
            urgency = -int(facts["properties"].get("priority") or 0)
            yield Delivery(queue, place, self._message(facts), urgency, is_small_first=True)
        for raw in broken:
            if raw not in self._told:  # it has gone round, and will again
                self._told.add(raw)
                yield Delivery(queue, Place(key, raw, None, 0.0), None)

    def _message(self, facts: Any) -> Any:
        try:
            return self._channel.Message(facts, channel=self._channel)
        except Exception:  # of any decoder of bodies
            return None

    def keep(self, deliveries: Sequence[Delivery]) -> None:
        """Keep reserved messages out of everybody's sight for longer."""
        score, places = self._score(), _places(deliveries)
        for some in _parts(places):
            arguments = [text for place in some for text in (place.tag, repr(place.score))]
            self._client.eval(KEEP, 1, self._index, repr(score), *arguments)
        for place in places:
            place.score = score

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Delete reserved messages from the broker."""
        tags = [delivery.place.tag for delivery in deliveries]
        if tags:
            with self._client.pipeline() as pipe:  # with keys as kombu gives them a prefix
                pipe.zrem(self._channel.unacked_index_key, *tags)
                pipe.hdel(self._channel.unacked_key, *tags)
                pipe.execute()

    def put_back(self, deliveries: Sequence[Delivery]) -> None:
        """Give reserved messages back to their queues, behind all that waits there."""
        self._told.clear()
        by_list: dict[str, list[Place]] = {}
        for place in _places(deliveries):
            by_list.setdefault(place.list, []).append(place)
        for key, places in by_list.items():
            for some in _parts(places):
                arguments: list[Any] = []
                for place in some:
                    arguments += [place.tag, repr(place.score), place.raw]
                self._client.eval(PUT_BACK, 3, key, self._unacked, self._index, *arguments)

    def reserved_by_others(self) -> int:
        """Return how many messages others have reserved."""
        count: int = self._client.hlen(self._channel.unacked_key)
        return count

    def restore_all(self) -> int:
        """Put all that anybody has reserved back to its queue; return how many that was."""
        tags = self._client.hkeys(self._unacked)
        for tag in tags:
            self._channel.qos.restore_by_tag(tag.decode(), leftmost=True)
        return len(tags)

    def beat(self) -> None:
        """Do nothing: Redis needs no sign of life."""

    def _restore_visible(self) -> None:
        now = time.monotonic()
        if now - self._restored_at >= RESTORE_S:
            self._restored_at = now
            limit = self._channel.unacked_restore_limit
            self._channel.qos.restore_visible(num=limit, interval=1)


def _places(deliveries: Sequence[Delivery]) -> list[Place]:
    return [each.place for each in deliveries if each.place.tag is not None]


def _parts(places: list[Place]) -> Iterator[list[Place]]:
    for n in range(0, len(places), BY_ONE_CALL):
        yield places[n : n + BY_ONE_CALL]
