"""Tasks of another queue."""

from celery import shared_task


@shared_task(bind=True)
def monthly(self, month):
    return [month, self.request.delivery_info["routing_key"]]
