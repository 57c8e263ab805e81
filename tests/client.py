"""A person with an HTTP client."""

import subprocess
from pathlib import Path
from typing import Any

import httpx

from dev.waiting import eventually

ENDED = ("done", "failed", "cancelled")


class Client:
    """Signs in once; every call has a limit."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self.http = httpx.Client(base_url=url, timeout=30, trust_env=False)
        self.user, self.password = user, password

    def sign_in(self) -> "Client":
        answer = self.http.post("/login", auth=(self.user, self.password))
        answer.raise_for_status()
        self.http.headers["Authorization"] = f"Bearer {answer.text}"
        return self

    @property
    def bearer(self) -> tuple[str, str]:
        """For curl."""
        return "-H", f"Authorization: {self.http.headers['Authorization']}"

    def upload(self, path: Path, name: str | None = None, **options: str) -> dict[str, Any]:
        with path.open("rb") as body:
            answer = self.http.post("/upload", files={"file": (name or path.name, body)}, data=options)
        assert answer.status_code == 202, answer.text
        job: dict[str, Any] = answer.json()
        assert answer.headers["Location"].endswith(f"/v1/jobs/{job['id']}")
        return job

    def job(self, job_id: str) -> dict[str, Any]:
        answer = self.http.get(f"/v1/jobs/{job_id}")
        answer.raise_for_status()
        job: dict[str, Any] = answer.json()
        return job

    def jobs(self) -> list[dict[str, Any]]:
        """All of them, page by page."""
        found: list[dict[str, Any]] = []
        query: dict[str, Any] | None = {"limit": 50}
        while query:
            page = self.http.get("/v1/jobs", params=query).json()
            found += page["items"]
            query = {"limit": 50, "cursor": page["next"]} if page["next"] else None
        return found

    def ended(self, job_id: str, timeout: float = 90) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            try:
                job = self.job(job_id)
            except httpx.HTTPError:
                return None
            return job if job["state"] in ENDED else None

        job = eventually(look, timeout, interval=0.1)
        assert job is not None
        return job

    def stage(self, job_id: str, name: str) -> dict[str, Any]:
        return next(stage for stage in self.job(job_id)["stages"] if stage["name"] == name)

    def text(self, job: dict[str, Any]) -> str:
        (txt,) = [found for found in job["artifacts"] if found["name"].endswith(".txt")]
        return self.http.get("/download", params={"fid": txt["fid"]}).text

    def close(self) -> None:
        self.http.close()


def names(job: dict[str, Any]) -> list[str]:
    return sorted(artifact["name"] for artifact in job["artifacts"])


def artifact(job: dict[str, Any], name: str) -> dict[str, Any]:
    return next(found for found in job["artifacts"] if found["name"] == name)


def curl(*arguments: str, folder: Path, standard_input: Path = Path("/dev/null")) -> str:
    """What it prints; it runs in `folder`."""
    command = ["curl", "-sS", "--noproxy", "*", *arguments]
    with standard_input.open("rb") as given:
        done = subprocess.run(command, cwd=folder, stdin=given, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout
