"""The queue: starts jobs, follows their progress and stores how they end.

Everything here runs in the server's event loop; the analysis runs in worker processes.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

from fakelens.web import worker_process
from fakelens.web.folders import remove
from fakelens.web.limits import Limits
from fakelens.web.listing import Listing
from fakelens.web.messages import FailureMessage, OutcomeMessage, ProgressMessage, Task
from fakelens.web.quota import Quota
from fakelens.web.schemas import Job, JobList, State
from fakelens.web.store import STORAGE_ERRORS, Store

_log = logging.getLogger("fakelens.web")
_RETRY_SECONDS = 2.0  # after a storage error
_UNEXPECTED = "the analysis failed unexpectedly; see the server's log for the cause"


@dataclass(slots=True)
class _RunningJob:
    """A job whose worker process is running.

    Attributes:
        task: runs until the worker process has ended.
        progress: last progress message of the worker.
        stage_start: when the current stage started, in monotonic seconds, and the number of frames
            done at that time.
        cancelled: whether the job has been cancelled.
        stopping: whether the worker process is being stopped.
    """

    task: asyncio.Task[OutcomeMessage | FailureMessage] = field(init=False)
    progress: ProgressMessage | None = None
    stage_start: tuple[float, int] = (0.0, 0)
    cancelled: bool = False
    stopping: bool = False

    def stop(self) -> None:
        """Stop the worker process.

        Further calls do nothing: a second cancellation would interrupt the wait for the process.
        """
        if not self.stopping:
            self.stopping = True
            self.task.cancel()

    def update(self, progress: ProgressMessage) -> None:
        """Store a progress message."""
        if self.progress is None or self.progress.stage != progress.stage:
            self.stage_start = time.monotonic(), progress.done
        self.progress = progress

    def add_progress(self, job: Job) -> Job:
        """Return the job with its progress."""
        if self.progress is None:
            return job
        progress = self.progress
        started, first = self.stage_start
        elapsed, done = time.monotonic() - started, progress.done - first
        eta = None
        if progress.total is not None and done > 0:
            eta = round(elapsed / done * (progress.total - progress.done), 1)
        return job.model_copy(
            update={
                "stage": progress.stage,
                "frames_done": progress.done,
                "frames_total": progress.total,
                "eta": eta,
            }
        )


@dataclass(slots=True, eq=False)
class Subscription:
    """The ids of jobs that have changed; closed when the server shuts down."""

    _changed: dict[str, None] = field(default_factory=dict)
    _event: asyncio.Event = field(default_factory=asyncio.Event)
    _closed: bool = False

    def notify(self, job: str) -> None:
        """Record that a job has changed; several changes count as one until they are read."""
        self._changed[job] = None
        self._event.set()

    def close(self) -> None:
        """End the subscription."""
        self._closed = True
        self._event.set()

    async def wait(self) -> tuple[str, ...]:
        """Wait for changes and return the ids; empty when the subscription is closed."""
        await self._event.wait()
        if self._closed:
            return ()
        self._event.clear()
        changed = tuple(self._changed)
        self._changed.clear()
        return changed


class Queue:
    """Runs queued jobs in worker processes, within the limits, and knows every job's state.

    Args:
        store: of the jobs.
        limits: of the server and its jobs.
        model: name or path, for the workers.
    """

    def __init__(self, store: Store, limits: Limits, model: str) -> None:
        self.store, self.limits = store, limits
        self.quota = Quota(store.jobs, limits.quota_bytes)
        self._model = model
        self._running: dict[str, _RunningJob] = {}
        self._uploading = 0
        self._subscriptions: set[Subscription] = set()
        self._stopped = False

    @contextlib.contextmanager
    def reserve_place(self) -> Iterator[bool]:
        """Reserve a place in the queue during an upload; yields whether there is one."""
        waiting = self.store.count(State.QUEUED) + self._uploading
        if waiting >= self.limits.queue:
            yield False
            return
        self._uploading += 1
        try:
            yield True
        finally:
            self._uploading -= 1

    def add(self, job: Job) -> None:
        """Queue a job whose upload is complete."""
        self.store.add(job)
        self._notify(job.id)
        self.start_jobs()

    def find(self, job: str) -> Job | None:
        """Return a job with its progress, or ``None`` if there is no job with this id."""
        found = self.store.find(job)
        return found and self._add_progress(found)

    def page(self, wanted: Listing) -> JobList:
        """Return a page of the list of jobs, with their progress."""
        jobs = tuple(map(self._add_progress, self.store.page(wanted)))
        return JobList(total=self.store.count_matches(wanted), jobs=jobs)

    def retry(self, job: str) -> None:
        """Queue a job again."""
        self.store.retry(job)
        self._notify(job)
        self.start_jobs()

    async def cancel(self, job: str) -> None:
        """Cancel a queued or running job, and wait until its files are deleted."""
        if running := self._running.get(job):
            running.cancelled = True
            running.stop()
            await asyncio.wait([running.task])
        else:
            self.store.cancel(job)
            self._notify(job)

    def report_review(self, job: str) -> None:
        """Tell the subscribers that the review of a job was saved."""
        self._notify(job)

    async def delete(self, job: str) -> None:
        """Delete a job and its files; stop it first if it is running."""
        if job in self._running:
            await self.cancel(job)
        folder = self.store.delete(job)
        self._notify(job)
        await asyncio.to_thread(remove, folder)  # large files take a while

    @contextlib.contextmanager
    def subscribe(self) -> Iterator[Subscription]:
        """Subscribe to all changes of jobs from now on."""
        subscription = Subscription()
        if self._stopped:
            subscription.close()
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.remove(subscription)

    def start_jobs(self) -> None:
        """Start queued jobs until the limit of workers is reached."""
        while not self._stopped and len(self._running) < self.limits.workers:
            try:
                job = self.store.next_queued()
                if job is None:
                    return
                self.store.start(job.id)
            except STORAGE_ERRORS:
                _log.exception("no job can be started; trying again")
                self._call_later(self.start_jobs)
                return
            running = self._running[job.id] = _RunningJob()
            on_progress = partial(self._on_progress, job.id, running)
            running.task = asyncio.create_task(
                worker_process.run(self._task(job), self.limits.stall_seconds, on_progress)
            )
            # A callback, because a task that is cancelled early never starts to run.
            running.task.add_done_callback(partial(self._on_end, job, running))
            self._notify(job.id)

    async def stop(self) -> None:
        """Shut down: stop the workers, queue their jobs again and close all subscriptions."""
        self._stopped = True
        for subscription in self._subscriptions:
            subscription.close()
        for running in self._running.values():
            running.stop()
        if tasks := [running.task for running in self._running.values()]:
            await asyncio.wait(tasks)

    def _task(self, job: Job) -> Task:
        return Task(
            input=self.store.input(job.id),
            output=self.store.unfinished(job.id),
            name=job.name,
            model=self._model,
            threads=self.limits.threads,
            every=job.every,
            trust=job.trust,
            minutes=self.limits.minutes,
            frames=self.limits.frames,
            pixels=self.limits.pixels,
            memory_bytes=self.limits.memory_bytes,
        )

    def _on_progress(self, job: str, running: _RunningJob, progress: ProgressMessage) -> None:
        running.update(progress)
        self._notify(job)

    def _on_end(
        self, job: Job, running: _RunningJob, task: asyncio.Task[OutcomeMessage | FailureMessage]
    ) -> None:
        try:
            self._store_end(job, running, task)
        except STORAGE_ERRORS:
            # For example on a full disk. Until it succeeds, the job counts as running.
            _log.exception("job %s: its result cannot be stored; trying again", job.id)
            self._call_later(partial(self._on_end, job, running, task))
            return
        del self._running[job.id]
        self._notify(job.id)
        self.start_jobs()

    def _store_end(
        self, job: Job, running: _RunningJob, task: asyncio.Task[OutcomeMessage | FailureMessage]
    ) -> None:
        if running.cancelled:
            self.store.cancel(job.id)
        elif task.cancelled():
            self.store.requeue(job.id)
        elif error := task.exception():
            _log.error("job %s", job.id, exc_info=error)
            self.store.fail(job.id, f"{job.name}: {_UNEXPECTED}")
        elif isinstance(message := task.result(), FailureMessage):
            self.store.fail(job.id, message.sentence)
        else:
            self.store.finish(job.id, message)

    def _call_later(self, function: Callable[[], None]) -> None:
        if not self._stopped:
            asyncio.get_running_loop().call_later(_RETRY_SECONDS, function)

    def _add_progress(self, job: Job) -> Job:
        running = self._running.get(job.id)
        return running.add_progress(job) if running else job

    def _notify(self, job: str) -> None:
        for subscription in self._subscriptions:
            subscription.notify(job)
