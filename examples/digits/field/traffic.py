"""Shows held-out pictures to the board it runs on, and tells it afterwards what they really were.

A program near the device, as a user's own would be: standard library only, the Open Inference Protocol for a question
and `/v1/feedback` for the truth. Each second it prints one line of JSON: how often each package answered, and was right.

Environment:
    DEVICE_URL: the device's own API, such as `http://agent-demo.bramble-edge.svc:8090`.
    MODEL: `<namespace>.<model>`.
    PICTURES: a zip of `<label>/<file>.png`.
    PER_SECOND: questions a second.
    NODE: the board's name, also the seed of the order in which pictures come.
"""

from __future__ import annotations

import base64
import http.client
import itertools
import json
import os
import random
import signal
import sys
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 5


class Picture(NamedTuple):
    """A held-out picture and what it really shows."""

    label: str
    content: bytes


def pictures(path: str, seed: str) -> Iterator[Picture]:
    """All pictures for ever, in an order of its own on each board."""
    with zipfile.ZipFile(path) as archive:
        pool = [Picture(name.split("/")[0], archive.read(name)) for name in sorted(archive.namelist()) if name.endswith(".png")]
    random.Random(seed).shuffle(pool)
    return itertools.cycle(pool)


class Device:
    """One connection to the board, made again after it broke."""

    def __init__(self, url: str, model: str) -> None:
        self._address, self._model = urlsplit(url).netloc, model
        self._connection: http.client.HTTPConnection | None = None

    def _post(self, path: str, body: dict[str, object]) -> dict[str, object] | None:
        """The answer, or None when the board did not give one with status 200."""
        if self._connection is None:
            self._connection = http.client.HTTPConnection(self._address, timeout=TIMEOUT_SECONDS)
        try:
            self._connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
            answer = self._connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            self._connection = None
            return None
        return json.loads(content or b"{}") if answer.status == http.client.OK else None

    def ask(self, question: str, picture: Picture) -> tuple[str, str] | None:
        """The board's label and the package that gave it; None when it did not answer."""
        image = {"name": "image", "datatype": "BYTES", "shape": [1], "data": [base64.b64encode(picture.content).decode()]}
        answer = self._post(f"/v2/models/{self._model}/infer", {"id": question, "inputs": [image]})
        if answer is None:
            return None
        outputs = {output["name"]: output["data"] for output in answer["outputs"]}  # type: ignore[attr-defined]
        return str(outputs["label"][0]), str(answer["parameters"]["package"])  # type: ignore[index]

    def tell(self, question: str, label: str) -> None:
        """What the picture of an earlier question really was."""
        self._post("/v1/feedback", {"requestId": question, "label": label})


def main() -> int:
    """Ask until SIGTERM."""
    node, per_second = os.environ["NODE"], float(os.environ.get("PER_SECOND", "10"))
    device, stopped = Device(os.environ["DEVICE_URL"], os.environ["MODEL"]), threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    answered, right, silent, last = Counter[str](), Counter[str](), 0, ""
    due = told = time.monotonic()
    for number, picture in enumerate(pictures(os.environ["PICTURES"], node)):
        question = f"{node}-{os.getpid()}-{number}"
        answer = device.ask(question, picture)
        if answer is None:
            silent += 1
        else:
            label, last = answer
            answered[last] += 1
            right[last] += label == picture.label
            device.tell(question, picture.label)
        now = time.monotonic()
        if now - told >= 1:
            told = now
            sys.stdout.write(json.dumps({"node": node, "package": last, "answered": answered, "right": right, "silent": silent}) + "\n")
            sys.stdout.flush()
        due = max(due + 1 / per_second, now - 1)
        if stopped.wait(max(0.0, due - now)):
            break
    return 0


if __name__ == "__main__":
    sys.exit(main())
