"""Names of taskiq's which are not here, and what to use in their place."""

from collections.abc import Callable, Mapping
from typing import NoReturn

from windlass.contrib.front_ends.refusing import refusing
from windlass.contrib.taskiq.exceptions import LIBRARY

INSTEAD: Mapping[str, str] = {
    "PubSubBroker": "each job runs once; enqueue one for each receiver",
    "PubSubSentinelBroker": "each job runs once; enqueue one for each receiver",
    "NatsBroker": "each job runs once; enqueue one for each receiver, or name a JetStream broker",
    "AckableMessage": "a job is settled with its outcome",
    "AcknowledgeType": "a job is settled with its outcome",
    "BrokerMessage": "windlass.JobRequest is what is stored",
    "TaskiqFormatter": "a payload is the arguments by their names, as JSON",
    "PrometheusMiddleware": "app.observe(windlass.contrib.prometheus.Metrics())",
    "OpenTelemetryMiddleware": "windlass.contrib.opentelemetry.Traces().install(app)",
    "TaskiqInstrumentor": "windlass.contrib.opentelemetry.Traces().install(app)",
    "TaskiqAdminMiddleware": "`windlass top` and `windlass jobs`",
    "ProgressTracker": "windlass.context().progress(0.4, 'message'), and job.watch()",
    "TaskProgress": "windlass.context().progress(0.4, 'message'), and job.watch()",
    "Receiver": "middleware: app.around_attempt",
    "PickleSerializer": "a task of windlass with serializer='pickle'",
    "JSONSerializer": "the setting `serializer`, which is 'json' anyway",
    "ORJSONSerializer": "the setting `serializer`, which is 'json' anyway",
    "MSGPackSerializer": "the setting serializer='msgpack'",
    "CBORSerializer": "the setting serializer='msgpack'",
}


def refusing_module(module: str) -> Callable[[str], NoReturn]:
    """Return the ``__getattr__`` of a module of this front end."""
    return refusing(LIBRARY, module, INSTEAD)
