"""The example: a clip that the server makes, and queues like an upload."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np

from fakelens.media.reader import open_video
from support.serving import Server, serving

WITHOUT_PORTRAITS = """
import sys
from fakelens.cli.app import app

sys.modules["skimage"] = None  # as if it were not installed
sys.argv = ["fakelens", *sys.argv[4:]]
app()
"""


def test_the_example_is_queued_like_an_upload(long_clip: Path, tmp_path: Path) -> None:
    """Behind the same guard and limits; meanwhile the server answers other requests."""
    with serving(tmp_path / "results", "--max-queue", 1) as server:
        running = server.upload(long_clip)["id"]
        server.wait_for_work(running)
        assert httpx.post(f"{server.url}/api/example").status_code == 401
        foreign = {"Sec-Fetch-Site": "cross-site"}
        assert server.client.post("/api/example", headers=foreign).status_code == 403
        with ThreadPoolExecutor() as threads:
            asked = threads.submit(server.client.post, "/api/example")
            answered = 0
            while not asked.done():
                assert server.client.get("/api/health").status_code == 200
                answered += 1
        assert answered > 10, "not only before and after"
        job = asked.result().json()
        assert asked.result().status_code == 201
        assert asked.result().headers["Location"] == f"/api/jobs/{job['id']}"
        assert (job["name"], job["state"]) == (
            "example (planted forgery in person 2).mp4",
            "queued",
        )
        refused = server.client.post("/api/example")
        assert refused.status_code == 429
        assert "the queue is full (limit 1" in refused.json()["detail"]

        clip = server.folder / "jobs" / job["id"] / "input"
        assert clip.stat().st_size == job["bytes"]
        with open_video(clip) as reader:
            frames = [np.asarray(frame.image) for frame in reader.frames()]
        assert len(frames) == 75
        assert frames[0].shape == (540, 960, 3)
        server.client.post(f"/api/jobs/{job['id']}/cancel")
        assert server.files() & {job["id"], f"{job['id']}/input"} == set()
        server.client.post(f"/api/jobs/{running}/cancel")
        assert "Traceback" not in server.log.read_text()


def test_without_its_packages_the_example_says_what_to_install(tmp_path: Path) -> None:
    sentence = (
        "the example needs the extra 'demo': run pip install '.[demo]' in the fakelens folder"
    )
    server = Server(tmp_path / "results", launcher=[sys.executable, "-c", WITHOUT_PORTRAITS])
    try:
        refused = server.client.post("/api/example")
        assert (refused.status_code, refused.json()) == (501, {"detail": sentence})
        page = server.client.get("/", headers={"Accept": "text/html"}).text
        assert sentence.replace("'", "&#39;") in page
        assert "Try the example" not in page
        assert server.files() == set()
    finally:
        server.stop()
