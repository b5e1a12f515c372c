"""Jobs in the folder of a server that is not running."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from fakelens.records.findings import Verdict
from fakelens.report.document import write_document
from fakelens.web.listing import Listing
from fakelens.web.messages import OutcomeMessage, PersonSummary
from fakelens.web.schemas import Job, State
from fakelens.web.store import Store, now
from support.builders import make_report, make_track

RATES = "this model called 1 of 10 genuine clips fake."


def opened(folder: Path) -> Any:
    return closing(Store(folder, max_crashes=3))


def add(store: Store, name: str, state: State = State.QUEUED, *, score: float = 0.9) -> str:
    """Add a job in some state."""
    job = store.make_folder()
    store.input(job).write_bytes(b"upload")
    options: Any = {"bytes": 6, "every": 2, "trust": False, "created": now()}
    store.add(Job(id=job, name=name, state=State.QUEUED, **options))
    if state is State.FAILED:
        store.start(job)
        store.fail(job, f"{name}: no video")
    elif state is State.CANCELLED:
        store.cancel(job)
    elif state is State.DONE:
        store.start(job)
        write_results(store.unfinished(job))
        store.finish(job, outcome(score))
    return job


def write_results(folder: Path) -> None:
    """Write a report on one person."""
    folder.mkdir()
    report = make_report(make_track(np.full(30, 4.0)), maps=np.zeros((30, 2, 2)))
    write_document(report, folder, folder)


def outcome(score: float) -> OutcomeMessage:
    verdict = Verdict.FAKE if score > 0.8 else Verdict.REAL
    person = PersonSummary(person=1, verdict=verdict, score=score, first=0, last=1)
    return OutcomeMessage(
        video_sha256=f"{round(score * 100):02}" * 32,
        faces_found=True,
        persons=(person,),
        suspect=1,
        error_rates=RATES,
    )


def listed(store: Store, **options: Any) -> dict[str, Job]:
    """Return the listed jobs by name."""
    found = store.page(Listing(limit=200, **options))
    assert store.count_matches(Listing(limit=1, **options)) == len(found)
    return {job.name: job for job in found}


def execute(folder: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(folder / "jobs.sqlite3")) as database, database:
        database.execute(statement, values)
