"""A small OpenAI-compatible server that tells, refuses or fails as a test says."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class LabelServer(ThreadingHTTPServer):
    """Tells `top` of each prompt, but for those that hold a word with a status of its own."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.top = {" Yes": math.log(0.8), " No": math.log(0.2)}
        self.statuses: dict[str, int] = {}
        self.asked: list[str] = []
        self.down_after: int | None = None
        """Requests, from which on it is down."""

    @property
    def url(self):
        """Of its API."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.asked.append(body["prompt"])
        words = body["prompt"].split()
        status = next((s for word, s in self.server.statuses.items() if word in words), 200)
        if self.server.down_after is not None and len(self.server.asked) > self.server.down_after:
            status = 503
        answer = {
            "id": "1", "object": "text_completion", "created": 0, "model": "small",
            "usage": {"prompt_tokens": 7, "completion_tokens": 1, "total_tokens": 8},
            "choices": [{
                "index": 0, "text": " Yes", "finish_reason": "length",
                "logprobs": {"top_logprobs": [self.server.top]},
            }],
        }  # fmt: skip
        if status != 200:
            answer = {"error": {"message": "the filter says no"}}
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        """Says nothing."""


@contextmanager
def listening() -> Iterator[LabelServer]:
    """A server until the end of the block."""
    one = LabelServer()
    thread = threading.Thread(target=one.serve_forever, daemon=True)
    thread.start()
    try:
        yield one
    finally:
        one.shutdown()
        one.server_close()
        thread.join()
