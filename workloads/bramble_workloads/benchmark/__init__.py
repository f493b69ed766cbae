"""Measures variants on a board: golden cases, streamed test samples, latency, memory during a swap.

Runs on a device's image and reaches nothing but the gateway: no Secret and no store credentials come to a board. Each package is
measured in a process of its own (`measure`), so that its memory is its own and a crash is its result.
"""
