"""The latest state of our resources, kept up to date by `kubectl get --watch`."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import IO, Any, Self

Object = dict[str, Any]


class Deadline(Exception):
    """What was waited for did not come about; the message holds the state at the end."""


def documents(stream: IO[str]) -> Iterator[Object]:
    """The JSON objects of a stream that holds one after the other."""
    decoder, text = json.JSONDecoder(), ""
    while chunk := stream.readline():
        text += chunk
        if not chunk.startswith("}"):
            continue
        document, end = decoder.raw_decode(text.lstrip())
        text = text.lstrip()[end:]
        yield document


class Watch:
    """One `kubectl get --watch` a resource. `get` reads memory; `until` waits for a condition on it."""

    def __init__(self, kubectl: list[str], environment: dict[str, str], resources: tuple[str, ...]) -> None:
        self._objects: dict[tuple[str, str, str], Object] = {}
        self._changed = threading.Condition()
        self._processes = [
            subprocess.Popen(
                [*kubectl, "get", resource, "--all-namespaces", "--watch", "--output=json"],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=environment,
            )
            for resource in resources
        ]
        self._threads = [threading.Thread(target=self._follow, args=(process,), daemon=True) for process in self._processes]
        for thread in self._threads:
            thread.start()

    def _follow(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for document in documents(process.stdout):
            metadata = document["metadata"]
            with self._changed:
                self._objects[document["kind"], metadata.get("namespace", ""), metadata["name"]] = document
                self._changed.notify_all()

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        """The object as last seen, None before it was."""
        with self._changed:
            return self._objects.get((kind, namespace, name))

    def all(self, kind: str, namespace: str) -> list[Object]:
        """Every object of a kind in a namespace, as last seen."""
        with self._changed:
            return [found for (of, where, _), found in self._objects.items() if of == kind and where == namespace]

    def until(
        self, kind: str, namespace: str, name: str, done: Callable[[Object], bool], seconds: float, seen: Callable[[Object], None]
    ) -> Object:
        """Wait until `done`; `seen` is called at least twice a second with the present object, for the screen.

        Raises:
            Deadline: it did not come about in time; the message ends with the object's conditions.
        """
        end = time.monotonic() + seconds
        while True:
            current = self.get(kind, namespace, name)
            if current is not None:
                seen(current)
                if done(current):
                    return current
            left = end - time.monotonic()
            if left <= 0:
                conditions = (current or {}).get("status", {}).get("conditions", [])
                told = "; ".join(f"{c['type']}={c['status']} {c['reason']}: {c['message']}" for c in conditions) or "no conditions yet"
                raise Deadline(f"{kind} {namespace}/{name} was not there after {seconds:.0f} s: {told}")
            with self._changed:
                self._changed.wait(min(0.5, left))

    def close(self) -> None:
        """End the kubectl processes."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait()
            if process.stdout is not None:
                process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
