"""Celery's signatures, as they arrive in messages, as signatures of the front end.

On their way they are "frozen": each has its id, and notes of what it belongs to.  The id is kept,
the notes are dropped, since a layout says them anew.
"""

from collections.abc import Callable, Mapping
from typing import Any

from windlass.contrib.celery.canvas import chain
from windlass.contrib.celery.messages import CeleryCall, Unfit
from windlass.contrib.celery.signature import Signature, as_list

# What Celery notes in the options of a signature that is on its way.
NOTED = frozenset({"reply_to", "root_id", "parent_id", "group_id", "group_index", "stamps",
                   "stamped_headers", "replaced_task_nesting"})  # fmt: skip


class Received:
    """Makes signatures of what stands in messages.

    name_of:     the name of a task here, by its name in Celery.
    priority_of: a priority here, by the number in Celery.
    """

    def __init__(
        self, app: Any, name_of: Callable[[str], str], priority_of: Callable[[Any], Any]
    ) -> None:
        self._app, self._name_of, self._priority_of = app, name_of, priority_of

    def whole(self, call: CeleryCall, options: Mapping[str, Any]) -> Signature:
        """Return a call with all that follows it as one signature.

        options: of the first one; its links are added.
        Raises:  Unfit.
        """
        links = {
            "link": self._parts(call.callbacks),
            "link_error": self._parts(call.errbacks),
        }
        given = {**options, **{name: listed for name, listed in links.items() if listed}}
        name = self._name_of(call.task)
        first = Signature(name, call.args, call.kwargs, given, app=self._app)
        if not call.chain:
            return first
        steps = [Signature.from_dict(self._plain(each), app=self._app) for each in call.chain]
        return chain(first, *steps, app=self._app)

    def _plain(self, sent: Any) -> dict[str, Any]:
        """Return a signature as the front end notes it down.  Raises: Unfit."""
        if not isinstance(sent, Mapping) or not isinstance(sent.get("task"), str):
            raise Unfit("what follows it is no signature of a task")
        kind = sent.get("subtask_type")
        made = {
            "task": self._name_of(sent["task"]),
            "args": tuple(sent.get("args") or ()),
            "kwargs": dict(sent.get("kwargs") or {}),
            "options": self._options(sent.get("options") or {}),
            "subtask_type": kind,
            "immutable": bool(sent.get("immutable")),
        }
        return made if kind is None else self._composed(kind, made)

    def _options(self, sent: Mapping[str, Any]) -> dict[str, Any]:
        options = {k: v for k, v in sent.items() if v is not None and k not in NOTED}
        if options.pop("chord", None):
            raise Unfit("what follows it is in the header of a chord, which counts in Celery's "
                        "result backend")  # fmt: skip
        for name in ("link", "link_error"):
            if name in options:
                options[name] = self._parts(options[name])
        if "priority" in options:
            options["priority"] = self._priority_of(options["priority"])
        return options

    def _composed(self, kind: str, made: dict[str, Any]) -> dict[str, Any]:
        """Finish what is made of other signatures.  Raises: Unfit, for what is not known of it."""
        kwargs, given = made["kwargs"], dict[str, Any]()
        own_id = made["options"].pop("task_id", None)  # of a chain it is that of its last task
        match kind:
            case "chain":
                given["tasks"] = self._parts(kwargs.pop("tasks", None))
            case "group":
                given["tasks"] = self._parts(kwargs.pop("tasks", None))
                made["group_id"] = own_id
            case "chord":
                header = kwargs.pop("header", None)
                given["body"] = self._plain(kwargs.pop("body", None))
                if isinstance(header, Mapping):
                    group = self._plain(header)
                    if group["subtask_type"] != "group" or group["options"]:
                        raise Unfit("what follows it is a chord whose header is no plain group")
                    given["tasks"], made["group_id"] = group["kwargs"]["tasks"], group["group_id"]
                else:
                    given["tasks"] = self._parts(header)
            case _:
                raise Unfit(f"what follows it is a {kind}, which is not known here")
        if made["args"] or any(kwargs.values()) or made["immutable"]:
            raise Unfit(f"what follows it is a {kind} with arguments of its own, or immutable")
        return {**made, "kwargs": given}

    def _parts(self, sent: Any) -> list[dict[str, Any]]:
        return [self._plain(each) for each in as_list(sent)]
