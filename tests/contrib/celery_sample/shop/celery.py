"""The app of the shop, and how it is configured."""

import os

from celery import Celery
from celery.schedules import crontab

app = Celery(
    "shop",
    broker=os.environ["SHOP_BROKER"],
    backend=os.environ["SHOP_BROKER"],
    include=["shop.orders", "shop.mail", "shop.reports"],
)

app.conf.update(
    task_serializer="json",
    result_serializer="json",
    accept_content=["json"],
    timezone="Europe/Berlin",
    enable_utc=True,
    result_expires=3600,
    task_routes={"shop.reports.*": {"queue": "reports"}},
    broker_connection_retry_on_startup=True,
    worker_prefetch_multiplier=1,
    worker_pool=os.environ["SHOP_POOL"],
    worker_concurrency=6,
    task_annotations={"shop.orders.annotated": {"max_retries": 1}},
    beat_schedule={
        "tick": {"task": "mail.write_down", "schedule": 1.0, "args": ("tick",)},
        "in winter": {
            "task": "shop.orders.ping",
            "schedule": crontab(minute=30, hour="1,2", day_of_week="mon-fri", month_of_year=1),
        },
    },
)


@app.on_after_configure.connect
def set_up_periodic_tasks(sender, **kwargs):
    sender.add_periodic_task(1.0, tock.s("tock", prefix="beat"), name="tock every second")


@app.task
def tock(what, prefix):
    from shop.mail import note

    note(f"{prefix} {what}")


if __name__ == "__main__":
    app.start()
