"""Which job is at work, and what is told of it.

Everything here runs in the server's event loop; the work itself is done in worker processes.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

from fakelens.web import worker_process as running
from fakelens.web.limits import Limits
from fakelens.web.messages import FailureMessage, OutcomeMessage, ProgressMessage, Task
from fakelens.web.schemas import Job, State
from fakelens.web.store import UNSTORABLE, Store, remove

_log = logging.getLogger("fakelens.web")
_AGAIN_SECONDS = 2.0  # until what could not be stored is tried again
_UNEXPECTED = "the analysis failed unexpectedly; the server's log says why"


@dataclass(slots=True)
class _Running:
    """A job at work.

    Attributes:
        work: ends when the worker has.
        progress: the last that the worker said.
        began: when this stage began, monotonic seconds, and the number of frames done then.
        unwanted: it has been cancelled.
        ending: the worker is being ended.
    """

    work: asyncio.Task[OutcomeMessage | FailureMessage] = field(init=False)
    progress: ProgressMessage | None = None
    began: tuple[float, int] = (0.0, 0)
    unwanted: bool = False
    ending: bool = False

    def end(self) -> None:
        """End the worker; a second time it does nothing, for that would not wait for it."""
        if not self.ending:
            self.ending = True
            self.work.cancel()

    def hear(self, progress: ProgressMessage) -> None:
        """Take note of how far it is."""
        if self.progress is None or self.progress.stage != progress.stage:
            self.began = time.monotonic(), progress.done
        self.progress = progress

    def shown(self, job: Job) -> Job:
        """The job with how far it is."""
        if self.progress is None:
            return job
        told = self.progress
        began, first = self.began
        passed, done = time.monotonic() - began, told.done - first
        left = None
        if told.total is not None and done > 0:
            left = round(passed / done * (told.total - told.done), 1)
        return job.model_copy(
            update={
                "stage": told.stage,
                "frames_done": told.done,
                "frames_total": told.total,
                "eta": left,
            }
        )


@dataclass(slots=True, eq=False)
class Subscription:
    """Ids of jobs that changed since they were last asked for; ends when the server does."""

    _changed: dict[str, None] = field(default_factory=dict)
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _over: bool = False

    def tell(self, job: str) -> None:
        """A job changed; told once, however often it did."""
        self._changed[job] = None
        self._news.set()

    def end(self) -> None:
        """There will be no more."""
        self._over = True
        self._news.set()

    async def news(self) -> tuple[str, ...]:
        """Wait for changes; empty when there will be no more."""
        await self._news.wait()
        if self._over:
            return ()
        self._news.clear()
        changed = tuple(self._changed)
        self._changed.clear()
        return changed


class Queue:
    """Starts workers while there are jobs and room, and answers for every job's state.

    Args:
        store: of the jobs.
        limits: of the server and its jobs.
        model: name or path, for the workers.
    """

    def __init__(self, store: Store, limits: Limits, model: str) -> None:
        self.store, self.limits = store, limits
        self._model = model
        self._running: dict[str, _Running] = {}
        self._arriving = 0
        self._subscriptions: set[Subscription] = set()
        self._stopped = False

    @contextlib.contextmanager
    def room(self) -> Iterator[bool]:
        """Whether there is a place for one more job; it is held until the ``with`` ends."""
        waiting = self.store.count(State.QUEUED) + self._arriving
        if waiting >= self.limits.queue:
            yield False
            return
        self._arriving += 1
        try:
            yield True
        finally:
            self._arriving -= 1

    def add(self, job: Job) -> None:
        """Take in a job whose upload is there."""
        self.store.add(job)
        self._tell(job.id)
        self.fill()

    def find(self, job: str) -> Job | None:
        """A job as it is now."""
        found = self.store.find(job)
        return found and self._shown(found)

    def newest(self, limit: int, offset: int) -> tuple[Job, ...]:
        """Jobs as they are now, the newest first."""
        return tuple(map(self._shown, self.store.newest(limit, offset)))

    def retry(self, job: str) -> None:
        """Run a job again."""
        self.store.retry(job)
        self._tell(job)
        self.fill()

    async def cancel(self, job: str) -> None:
        """End a job that waits or is at work; when this returns, its files are gone."""
        if at_work := self._running.get(job):
            at_work.unwanted = True
            at_work.end()
            await asyncio.wait([at_work.work])
        else:
            self.store.cancel(job)
            self._tell(job)

    async def delete(self, job: str) -> None:
        """End a job if need be, and take away every trace of it."""
        if job in self._running:
            await self.cancel(job)
        rest = self.store.delete(job)
        self._tell(job)
        await asyncio.to_thread(remove, rest)  # large files take their time

    @contextlib.contextmanager
    def subscribed(self) -> Iterator[Subscription]:
        """What changes from now on."""
        subscription = Subscription()
        if self._stopped:
            subscription.end()
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.remove(subscription)

    def fill(self) -> None:
        """Start workers as long as there are jobs and room."""
        while not self._stopped and len(self._running) < self.limits.workers:
            try:
                job = self.store.next_queued()
                if job is None:
                    return
                self.store.start(job.id)
            except UNSTORABLE:
                _log.exception("no job can be started; it is tried again")
                self._later(self.fill)
                return
            at_work = self._running[job.id] = _Running()
            hear = partial(self._hear, job.id, at_work)
            at_work.work = asyncio.create_task(
                running.run(self._task(job), self.limits.stall_seconds, hear)
            )
            # Not within the task, which does not even begin if it is cancelled soon enough.
            at_work.work.add_done_callback(partial(self._ended, job, at_work))
            self._tell(job.id)

    async def stop(self) -> None:
        """End the workers, put their jobs back, and end all subscriptions; nothing starts again."""
        self._stopped = True
        for subscription in self._subscriptions:
            subscription.end()
        for at_work in self._running.values():
            at_work.end()
        if works := [at_work.work for at_work in self._running.values()]:
            await asyncio.wait(works)

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

    def _hear(self, job: str, at_work: _Running, progress: ProgressMessage) -> None:
        at_work.hear(progress)
        self._tell(job)

    def _ended(
        self, job: Job, at_work: _Running, work: asyncio.Task[OutcomeMessage | FailureMessage]
    ) -> None:
        try:
            self._settle(job, at_work, work)
        except UNSTORABLE:
            # As when the disk is full. The job keeps its place meanwhile.
            _log.exception("job %s: how it ended cannot be kept; it is tried again", job.id)
            self._later(partial(self._ended, job, at_work, work))
            return
        del self._running[job.id]
        self._tell(job.id)
        self.fill()

    def _settle(
        self, job: Job, at_work: _Running, work: asyncio.Task[OutcomeMessage | FailureMessage]
    ) -> None:
        if at_work.unwanted:
            self.store.cancel(job.id)
        elif work.cancelled():
            self.store.put_back(job.id)
        elif error := work.exception():
            _log.error("job %s", job.id, exc_info=error)
            self.store.fail(job.id, f"{job.name}: {_UNEXPECTED}")
        elif isinstance(said := work.result(), FailureMessage):
            self.store.fail(job.id, said.sentence)
        else:
            self.store.finish(job.id, said)

    def _later(self, what: Callable[[], None]) -> None:
        if not self._stopped:
            asyncio.get_running_loop().call_later(_AGAIN_SECONDS, what)

    def _shown(self, job: Job) -> Job:
        at_work = self._running.get(job.id)
        return at_work.shown(job) if at_work else job

    def _tell(self, job: str) -> None:
        for subscription in self._subscriptions:
            subscription.tell(job)
