"""Ends a Python process of the user's command at once after an uncaught exception. Python imports it at startup, from PYTHONPATH.

The teardown of a process that has imported torch takes more than a second. During that time the exception is printed, but the rank has not
ended, so its cause is not known yet. Exit handlers run and files are flushed before the process ends, and its exit code stays 1. A process
that ends in any other way is not changed, because its exit code is not known here.
"""

import atexit
import contextlib
import gc
import importlib.machinery
import importlib.util
import io
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - pathlib would slow the start of every process
TOP = ("<module>", "_run_module_as_main")
"""The functions in which `python script.py` and `python -m module` begin."""
FILES = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)
FAILED = 1


def _exception_ended_the_program() -> bool:
    """True if Python printed an uncaught exception of the program, and not one of an interactive console inside it."""
    trace = getattr(sys, "last_traceback", None)
    if trace is None or not isinstance(sys.last_value, Exception):
        return False
    code = trace.tb_frame.f_code
    return code.co_name in TOP and not code.co_filename.startswith("<console")


def _end() -> None:
    if _exception_ended_the_program():
        for file in [each for each in gc.get_objects() if type(each) in FILES]:
            with contextlib.suppress(OSError, ValueError):  # the file is closed, or its reader has ended
                file.flush()
        os._exit(FAILED)


def _run_own_sitecustomize() -> None:
    """Run the `sitecustomize` that the image would have run without this one."""
    elsewhere = [path for path in sys.path if os.path.abspath(path) != HERE]  # noqa: PTH100
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", elsewhere)
    if spec is not None and spec.loader is not None:
        module = importlib.util.module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


atexit.register(_end)  # the handler that is registered first runs last
_run_own_sitecustomize()
