from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from bramble_workloads.launch import logs
from bramble_workloads.launch.logs import last_lines

# A launcher of its own process, since the pump forks: two ranks write, one of them without a last newline.
PUMPED = """
import os, sys
from pathlib import Path
from bramble_workloads.launch import logs
logs.PART_BYTES = int(sys.argv[2])
folder = Path(sys.argv[1])
pump = logs.Pump({rank: folder / f"rank-{rank}.log" for rank in (4, 5)})
for number in range(int(sys.argv[3])):
    os.write(pump.inputs[4], f"line {number}\\n".encode())
os.write(pump.inputs[5], b"no newline")
pump.finish()
"""


def pumped(folder: Path, part: int, lines: int) -> str:
    command = [sys.executable, "-c", PUMPED, str(folder), str(part), str(lines)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def test_every_line_is_in_the_log_with_its_rank_and_in_the_ranks_file(tmp_path: Path) -> None:
    printed = pumped(tmp_path, 1 << 20, 3)
    assert sorted(printed.splitlines()) == ["[4] line 0", "[4] line 1", "[4] line 2", "[5] no newline"]
    assert (tmp_path / "rank-4.log").read_text() == "line 0\nline 1\nline 2\n"
    assert (tmp_path / "rank-5.log").read_text() == "no newline"


def test_a_ranks_file_keeps_its_end_and_never_more_than_two_parts(tmp_path: Path) -> None:
    printed = pumped(tmp_path, 200_000, 100_000)
    assert len(printed.splitlines()) == 100_001
    newest, older = tmp_path / "rank-4.log", tmp_path / "rank-4.log.1"
    assert len(list(tmp_path.iterdir())) == 3
    assert older.stat().st_size + newest.stat().st_size < 2 * (200_000 + logs.CHUNK)
    assert last_lines(newest, older, 2) == ["line 99998", "line 99999"]


def test_the_end_reaches_into_the_part_before(tmp_path: Path) -> None:
    (tmp_path / "log.1").write_text("a\nb\n")
    (tmp_path / "log").write_text("c\n\n")
    assert last_lines(tmp_path / "log", tmp_path / "log.1", 2) == ["b", "c"]
    assert last_lines(tmp_path / "none", tmp_path / "none.1", 2) == []


def test_ranks_that_ended_long_ago_do_not_end_the_log(tmp_path: Path) -> None:
    script = PUMPED.replace("pump.finish()", "pump.forget()\nimport time\ntime.sleep(0.3)\npump.finish()")
    command = [sys.executable, "-c", script, str(tmp_path), "1000", "1"]
    assert "[4] line 0" in subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def test_a_pump_that_was_killed_does_not_hold_up_the_end(tmp_path: Path) -> None:
    script = PUMPED.replace("pump.finish()", "import signal\nos.kill(pump._process, signal.SIGKILL)\npump.finish()")
    command = [sys.executable, "-c", script, str(tmp_path), "1000", "0"]
    subprocess.run(command, check=True, timeout=60)


def test_a_forked_child_that_keeps_every_descriptor_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """Like the rendezvous store, and ranks of ours."""
    script = PUMPED.replace("pump.finish()", "child = os.fork()\nif not child:\n    import signal\n    signal.pause()\n")
    script += "pump.finish()\nos.kill(child, 9)\nos.waitpid(child, 0)\n"
    command = [sys.executable, "-c", script, str(tmp_path), "1000", "1"]
    assert "[4] line 0" in subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def test_a_child_that_keeps_the_pipe_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """A daemon that a script left behind inherits the descriptor."""
    script = PUMPED.replace("pump.finish()", "os.set_inheritable(pump.inputs[4], True)\nimport subprocess\nkept = pump.inputs[4]\n")
    script += "child = subprocess.Popen(['sleep', '600'], close_fds=False)\npump.finish()\nchild.kill()\nchild.wait()\n"
    command = [sys.executable, "-c", script, str(tmp_path), "1000", "1"]
    assert "[4] line 0" in subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
