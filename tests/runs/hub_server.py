"""A stand-in for the Hugging Face hub on this machine: one commit a push, in memory."""

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

TOKEN = "hf_stand_in"
Files = dict[str, bytes]


class Hub(ThreadingHTTPServer):
    """Repositories by name, each its files by commit."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repos: dict[str, dict[str, Files]] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def files(self, repo: str, revision: str = "main") -> Files | None:
        commits = self.repos.get(repo, {})
        return commits.get(next(reversed(commits), "") if revision == "main" else revision)

    def commit(self, repo: str, files: Files) -> str:
        commits = self.repos[repo]
        sha = hashlib.sha1(f"{repo} {len(commits)}".encode()).hexdigest()
        commits[sha] = (self.files(repo) or {}) | files
        return sha


class _Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Nothing."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._json({"error": "Invalid username or password."}, 401)
        if self.path == "/api/repos/create":
            given = json.loads(body)
            repo = f"{given['organization']}/{given['name']}"
            self.server.repos.setdefault(repo, {})
            return self._json({"url": f"{self.server.url}/{repo}"})
        if self.path == "/api/validate-yaml":
            return self._json({"errors": [], "warnings": []})
        repo, _, what = (
            self.path.removeprefix("/api/models/").rpartition("/main")[0].rpartition("/")
        )
        if what == "preupload":
            asked = [file["path"] for file in json.loads(body)["files"]]
            modes = [{"path": p, "uploadMode": "regular", "shouldIgnore": False} for p in asked]
            return self._json({"files": modes})
        lines = [json.loads(line) for line in body.splitlines()]
        files = [line["value"] for line in lines if line["key"] == "file"]
        new = {file["path"]: base64.b64decode(file["content"]) for file in files}
        sha = self.server.commit(repo, new)
        return self._json({"commitUrl": f"{self.server.url}/{repo}/commit/{sha}", "commitOid": sha})

    def do_HEAD(self) -> None:
        self._get(with_body=False)

    def do_GET(self) -> None:
        self._get(with_body=True)

    def _get(self, with_body: bool) -> None:
        path = self.path.partition("?")[0].strip("/")
        if path.startswith("api/models/"):
            owner, name, *which = path.removeprefix("api/models/").split("/", 3)
            what, revision = which or ("revision", "main")
            self._about(f"{owner}/{name}", what, revision)
            return
        owner, name, _, revision, file = path.split("/", 4)
        content = (self.server.files(f"{owner}/{name}", revision) or {})[file]
        self.send_response(200)
        self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", revision)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if with_body:
            self.wfile.write(content)

    def _about(self, repo: str, what: str, revision: str) -> None:
        if self.headers.get("Authorization") not in (None, f"Bearer {TOKEN}"):
            return self._json({"error": "Invalid username or password."}, 401)
        files = self.server.files(repo, revision)
        if files is None:
            code = "RevisionNotFound" if repo in self.server.repos else "RepoNotFound"
            return self._json({"error": "not found"}, 404, code)
        if what == "revision":
            sha = list(self.server.repos[repo])[-1] if revision == "main" else revision
            return self._json({"id": repo, "sha": sha, "siblings": []})
        return self._json([_entry(path, content) for path, content in files.items()])

    def _json(self, value: Any, status: int = 200, code: str = "") -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _entry(path: str, content: bytes) -> dict[str, Any]:
    oid = hashlib.sha1(content).hexdigest()
    return {"type": "file", "path": path, "size": len(content), "oid": oid}


@contextmanager
def running_hub() -> Iterator[Hub]:
    """One that answers until the end of the ``with``."""
    with Hub() as hub:
        thread = Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield hub
        finally:
            hub.shutdown()
            thread.join()
