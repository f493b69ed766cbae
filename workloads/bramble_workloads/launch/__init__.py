"""The launcher: process 1 of the container `train`, which runs the built-in program or the user's command.

`fetch` copies this package into the pod, where the Python of any image (3.9 or newer) runs it. So it imports the standard library only, and
the library of an engine where the image has it. It starts the ranks, watches them end, tells the sidecar why through files (`handshake`),
and ends with the exit code of the first failure.
"""
