"""The description of the API against the API: made-up requests, by schemathesis."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakelens.evaluation import demo
from support.serving import Server, serving

EXAMPLES = 3  # of each operation, besides those that cover its parameters one by one

CONFIGURATION = """
[parameters]
{parameters}

# That a stretch ends before it starts, JSON Schema cannot say.
[[operations]]
include-name = "PUT /api/jobs/{{job_id}}/review"
checks.positive_data_acceptance.expected-statuses = [200, 401, 403, 404, 409, 422]
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("server") / "results", "--max-queue", 2) as running:
        yield running


def try_out(server: Server, folder: Path, parameters: str, *options: str) -> None:
    """Let schemathesis ask; it must find nothing."""
    configuration = folder / "schemathesis.toml"
    configuration.write_text(CONFIGURATION.format(parameters=parameters))
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(configuration)),
        *("run", f"{server.url}/openapi.json", "--no-color", "--continue-on-failure"),
        *("--generation-deterministic", "--no-shrink", "--request-timeout", "20"),
        *("--max-examples", str(EXAMPLES)),
        *("--exclude-path", "/api/events"),  # its answer has no end
        *options,
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=folder, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"Tested: +1[23]\n", done.stdout), "all operations"
    assert "Traceback" not in server.log.read_text(encoding="utf-8")


@pytest.mark.slow
def test_answers_are_as_described(server: Server, tmp_path: Path) -> None:
    try_out(server, tmp_path, "", "--phases", "fuzzing")


@pytest.mark.slow
def test_answers_about_a_job_that_is_done_are_as_described(server: Server, tmp_path: Path) -> None:
    demo.make_clip(tmp_path / "clip.mp4", seconds=1)
    for job in server.client.get("/api/jobs", params={"limit": 200}).json()["jobs"]:
        server.client.delete(f"/api/jobs/{job['id']}")
    job = server.wait(server.upload(tmp_path / "clip.mp4")["id"])
    parameters = f'"path.job_id" = {json.dumps(job["id"])}'
    try_out(server, tmp_path, parameters, "--phases", "coverage", "--exclude-method", "DELETE")
    assert server.job(job["id"]) == job
