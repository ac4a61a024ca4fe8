"""The app of the shop, and how it is configured."""

import os

from celery import Celery

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
)

if __name__ == "__main__":
    app.start()
