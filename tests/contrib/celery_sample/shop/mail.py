"""Tasks that know no app, and what is called when others have ended."""

import os
import time

from celery import shared_task
from celery.utils.log import get_task_logger

logger = get_task_logger(__name__)


def note(line):
    """Add a line to the shop's diary."""
    with open(os.environ["SHOP_DIARY"], "a", encoding="utf-8") as diary:
        diary.write(line + "\n")


@shared_task
def send(to, subject="hello"):
    logger.info("mail to %s", to)
    return f"{subject} -> {to}"


@shared_task(name="mail.write_down")
def write_down(what, prefix="note"):
    note(f"{prefix}: {what}")
    return what


@shared_task
def alarm(request, exc, traceback):
    note(f"alarm: {request.id} {type(exc).__name__} {exc}")


@shared_task
def old_alarm(task_id):
    note(f"old alarm: {task_id}")


@shared_task(ignore_result=True)
def forget_me(x):
    return x


@shared_task
def sleepy(seconds, value=None):
    time.sleep(seconds)
    return value


@shared_task
def when():
    return time.time()
