"""The launcher: process 1 of a trainer's container, beside whatever command the user brought.

`fetch` copies this package into the pod, where any image's Python (3.9 or newer) runs it, so it imports the standard library only, and
torch where the image has it. It talks to the sidecar through files (`handshake`), starts the ranks, watches them end, and leaves with the
code of the first failure.
"""
