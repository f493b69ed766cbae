"""How a rank's end becomes a cause: every way that was seen to happen, with what torch, gloo, NCCL and Python print."""

from __future__ import annotations

import ast
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bramble.contracts.cause import PRECEDENCE, Cause
from bramble.contracts.exit_codes import ExitCode
from bramble_workloads.launch import ending
from bramble_workloads.launch.ending import Ending, ErrorFile, cause, exit_code, peek

LAUNCH = Path(ending.__file__).parent
GLOO = "RuntimeError: [/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:534] Connection closed by peer [10.0.0.2]:41034"
NCCL = "torch.distributed.DistBackendError: NCCL error in: ProcessGroupNCCL.cpp:77, remote process exited or there was a network error"
WATCHDOG = [
    "[rank0]:[E ProcessGroupNCCL.cpp:695] [Rank 0] To avoid data inconsistency, we are taking the entire process down.",
    "[Rank 0] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=4, OpType=ALLREDUCE) ran for 600010 milliseconds",
    "terminate called after throwing an instance of 'c10::DistBackendError'",
]
CUDA = ["[PG ID 0 Rank 0] Process group watchdog thread terminated with exception: CUDA error: device-side assert triggered"]
RANK_1 = ["[rank1]: Traceback (most recent call last):", '[rank1]:   File "train.py", line 7, in <module>', "[rank1]: ValueError: boom"]
LEFT = "terminate called without an active exception"
TRACE = ["Traceback (most recent call last):", '  File "train.py", line 7, in <module>', "    main()"]


def told(tmp_path: Path, found: Ending, lines: list[str], error: object = None, *, alone: bool = False) -> Cause:
    path = tmp_path / "error.json"
    if error is not None:
        path.write_text(json.dumps(error))
    return Cause.model_validate(cause(1, found, path, lines, alone=alone))


GROUP = [
    "  + Exception Group Traceback (most recent call last):",
    "  | ExceptionGroup: two pages (1 sub-exception)",
    "  +-+---------------- 1 ----------------",
    "    | ValueError: torn",
    "    +------------------------------------",
]


@pytest.mark.parametrize(
    ("found", "lines", "kind", "says"),
    [
        pytest.param(Ending(code=1), [*TRACE, "ValueError: boom"], "Error", "ValueError: boom", id="an exception"),
        pytest.param(Ending(code=1), [*TRACE, "my.own.TapeError: torn", "bye"], "Error", "my.own.TapeError: torn", id="of the user's own"),
        pytest.param(Ending(code=1), GROUP, "Error", "ended with code 1: ValueError: torn", id="a group of exceptions"),
        pytest.param(Ending(code=3), ["\x1b[96mgiving\x1b[0m  up"], "Error", "ended with code 3: giving up", id="a word in colour"),
        pytest.param(Ending(code=3), ["giving up"], "Error", "ended with code 3: giving up", id="a code and a word"),
        pytest.param(Ending(code=3), [], "Error", "no error was printed", id="no word at all"),
        pytest.param(Ending(code=3), ["giving up", " "], "Error", "no error was printed", id="an empty last line"),
        pytest.param(Ending(signal=6), [""], "Signal", "a crash in native code: it printed nothing", id="an abort after an empty line"),
        pytest.param(Ending(code=64), ["no such layer"], "SpecError", "no such layer", id="a spec error"),
        pytest.param(Ending(code=65), ["torn page"], "BadData", "torn page", id="bad data"),
        pytest.param(Ending(code=75), ["later"], "TryAgain", "later", id="try again"),
        pytest.param(Ending(signal=9), ["epoch 3"], "Signal", "by SIGKILL: most often the memory limit", id="killed"),
        pytest.param(Ending(signal=11), ["epoch 3"], "Signal", "by SIGSEGV", id="segmentation fault"),
        pytest.param(Ending(code=1), [*TRACE, GLOO], "PeerLost", "closed by peer", id="gloo lost its peer"),
        pytest.param(Ending(code=1), [*TRACE, NCCL], "PeerLost", "DistBackendError", id="NCCL lost its peer"),
        pytest.param(Ending(signal=6), WATCHDOG, "PeerLost", "Watchdog caught collective operation timeout", id="NCCL's watchdog aborts"),
        pytest.param(Ending(signal=6), ["free(): invalid pointer"], "Signal", "by SIGABRT: a crash in native code: free()", id="an abort"),
        pytest.param(
            Ending(signal=6), [*RANK_1, LEFT], "Error", "it ended by SIGABRT: ValueError: boom", id="an exception, then gloo's threads"
        ),
        pytest.param(Ending(signal=11), [*RANK_1], "Error", "it ended by SIGSEGV: ValueError: boom", id="an exception, then a crash"),
        pytest.param(Ending(signal=6), [*RANK_1, *["epoch"] * 5], "Signal", "a crash in native code: epoch", id="an exception long ago"),
        pytest.param(Ending(signal=9), [*RANK_1], "Signal", "from outside by SIGKILL", id="killed after an exception"),
        pytest.param(
            Ending(signal=6), ["bye", LEFT], "Signal", "call torch.distributed.destroy_process_group()", id="an exit that is lost"
        ),
        pytest.param(Ending(signal=6), [*TRACE, GLOO, LEFT], "PeerLost", "closed by peer", id="gloo lost its peer, then its threads"),
        pytest.param(Ending(code=1), [*RANK_1, "bye"], "Error", "code 1: ValueError: boom", id="an exception as torch prints it"),
        pytest.param(Ending(signal=6), CUDA, "Signal", "by SIGABRT", id="NCCL's watchdog aborts for a fault of its own GPU"),
        pytest.param(
            Ending(code=1),
            [*TRACE, "torch.distributed.DistNetworkError: The client socket has timed out after 120000ms"],
            "PeerLost",
            "timed out",
            id="the store is gone",
        ),
        pytest.param(
            Ending(code=1), ["ConnectionResetError: [Errno 104] Connection reset by peer"], "Error", "Errno 104", id="not torch's peer"
        ),
    ],
)
def test_the_kind_and_the_words(found: Ending, lines: list[str], kind: str, says: str, tmp_path: Path) -> None:
    result = told(tmp_path, found, lines)
    assert result.kind == kind
    assert says in result.message
    assert result.rank == 1
    assert result.lines == tuple(lines)


def test_a_run_of_one_rank_cannot_have_lost_a_peer(tmp_path: Path) -> None:
    assert told(tmp_path, Ending(code=1), [GLOO], alone=True).kind == "Error"


def test_a_download_of_the_script_itself_that_times_out_is_no_lost_peer(tmp_path: Path) -> None:
    assert told(tmp_path, Ending(code=1), ["requests.exceptions.ReadTimeout: Socket Timeout"]).kind == "Error"


def test_an_error_file_says_more_than_the_output(tmp_path: Path) -> None:
    """As torch's `record` writes it."""
    error = {"message": {"message": "KeyError: 'label'", "extraInfo": {"py_callstack": "…", "timestamp": "1"}}}
    assert "KeyError: 'label'" in told(tmp_path, Ending(code=1), ["warning: something else"], error).message


def test_an_error_file_that_is_nested_too_deeply_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "deep.json"
    path.write_text("[" * 100_000)
    assert ErrorFile.read(path) == ErrorFile()


def test_an_error_file_of_another_form_is_passed_over(tmp_path: Path) -> None:
    assert "boom" in told(tmp_path, Ending(code=1), ["ValueError: boom"], ["what is this"]).message


def test_long_output_is_cut_to_what_a_cause_holds(tmp_path: Path) -> None:
    result = told(tmp_path, Ending(code=1), ["x" * 2000] * 50)
    assert len(result.lines) == 20
    assert {len(line) for line in result.lines} == {300}
    assert len(result.message) <= 600


def test_a_cause_that_somebody_else_wrote_is_cut_too() -> None:
    found = Cause(kind="Error", message="m" * 5000, lines=tuple(str(number) * 500 for number in range(30)))
    assert (len(found.message), len(found.lines), found.lines[-1]) == (1024, 20, ("29" * 500)[:300])


@pytest.mark.parametrize(
    ("kind", "code"),
    [("SpecError", 64), ("BadData", 65), ("TryAgain", 75), ("PeerLost", 75), ("Terminated", 75), ("Error", 1), ("Signal", 1)],
)
def test_the_launcher_leaves_with_the_code_of_its_first_cause(kind: str, code: int) -> None:
    assert exit_code({"kind": kind}) == code


def test_the_order_of_causes_is_that_of_the_contract() -> None:
    assert ending.PRECEDENCE == PRECEDENCE
    assert (ending.SPEC_ERROR, ending.BAD_DATA, ending.TRY_AGAIN) == (ExitCode.SPEC_ERROR, ExitCode.BAD_DATA, ExitCode.TRY_AGAIN)


def test_a_child_is_looked_at_without_being_taken_from_its_parent() -> None:
    process = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    assert peek(process.pid) is None
    process.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert peek(process.pid) == Ending(signal=9)
    assert process.wait() == -9
    assert peek(process.pid) is None


def test_the_launcher_runs_on_any_image_with_python_3_9() -> None:
    """No syntax of a newer Python, and no import at its top beyond the standard library."""
    for path in LAUNCH.rglob("*.py"):
        tree = ast.parse(path.read_text(), feature_version=(3, 9))
        for node in ast.walk(tree):
            assert not isinstance(node, ast.Match), path
        for node in tree.body:
            if isinstance(node, ast.Import):
                assert {alias.name.split(".")[0] for alias in node.names} <= sys.stdlib_module_names, path
            if isinstance(node, ast.ImportFrom) and not node.level:
                assert (node.module or "").split(".")[0] in sys.stdlib_module_names, path
