"""The step `benchmark`. It measures variants on a board: golden cases, metrics on test samples, latency, and memory during a swap.

It runs in the edge image and talks to the gateway only, because no credentials of the store may come to a board. Each package is measured
in a process of its own (`measure`), so that its memory can be told from that of others and a crash ends nothing else.
"""
