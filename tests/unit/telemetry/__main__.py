"""`python -m tests.unit.telemetry FOLDER`: runs every scene in a namespace of its own and writes FOLDER/scenes.json.

    {"train": {"error": "", "destinations": [["tcp", "127.0.0.1", 9000]], "files": []}, …}

Without FOLDER it only tries whether this user may make namespaces.
"""

import json
import sys
from pathlib import Path

from tests.unit.telemetry.recorder import Recorder, leave_the_machine


def main() -> int:
    leave_the_machine()
    if len(sys.argv) == 1:
        return 0
    from tests.unit.telemetry import scenes  # it starts threads, and only a process with one thread can leave

    folder = Path(sys.argv[1])
    with Recorder() as recorder:
        found = {}
        for name, seen in scenes.run(folder, recorder):
            print(f"{name}: {seen.destinations} {seen.files} {seen.error}", flush=True)
            found[name] = seen._asdict()
    (folder / "scenes.json").write_text(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
