"""What a job is told of the run that it is a step of: headers, there and back."""

from windlass.model.jobs import Job, JobId, JobRequest, StepOf, headers_of

RUN, STEP, NTH = "windlass-run", "windlass-step", "windlass-nth"


def as_step(request: JobRequest, of_run: dict[str, str]) -> JobRequest:
    """Return the request of a step with the headers that say so, over those of its run.

    Raises: PayloadTooLarge.
    """
    assert request.step is not None
    step = request.step
    own = {RUN: step.run, STEP: step.name, NTH: str(step.nth)}
    return request.with_headers({**of_run, **headers_of(request.headers), **own})


def step_of(headers: bytes | None) -> StepOf | None:
    """Return which step of which run a job is; None for a job that is none."""
    if headers is None:
        return None
    texts = headers_of(headers)
    if RUN not in texts or STEP not in texts:
        return None
    return StepOf(JobId(texts[RUN]), texts[STEP], int(texts.get(NTH, "0")))


def is_step(job: Job) -> bool:
    """Tell whether a job is a step of a run: to repeat the run repeats it too."""
    return step_of(job.headers) is not None


def without_step(request: JobRequest) -> JobRequest:
    """Return the request of a job that repeats a step, and is none itself."""
    if step_of(request.headers) is None:
        return request
    return request.with_headers({RUN: "", STEP: "", NTH: ""})
