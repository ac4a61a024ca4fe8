"""``windlass why``: the one cause for which a job does not run."""

from datetime import UTC, datetime

from windlass.cli.options import AsJson, Store, ask
from windlass.cli.output import print_facts, print_json
from windlass.model.jobs import JobId


def why(job_id: str, store: Store = None, as_json: AsJson = False) -> int:
    """Tell the one cause for which a job does not run, and what to do about it.

    Exit code: 0, 1 if there is no such job, 3 without a store.
    """
    told = ask(store, lambda client: client.why(JobId(job_id), datetime.now(UTC)))
    if as_json:
        print_json(told)
    else:
        print_facts({"cause": told.cause, "because": told.because, "way on": told.way_on})
    return 0
