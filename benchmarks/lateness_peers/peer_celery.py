"""Celery: beat, Redis, and one worker.

A schedule of seconds has no fixed instants in Celery: each fire is due one second after beat sent
the one before.  So beat notes when it sends.
"""

import os

import ticks
from celery import Celery
from celery.signals import before_task_publish

app = Celery("lateness", broker=os.environ.get("LATENESS_REDIS"))
app.conf.update(
    task_ignore_result=True,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    beat_schedule={"tick": {"task": "tick", "schedule": 1.0}},
)


@before_task_publish.connect
def note_send(**_: object) -> None:
    """Note what the next fire is due after."""
    ticks.note_send()


@app.task(name="tick")
def tick() -> None:
    """Note the fire."""
    ticks.note()
