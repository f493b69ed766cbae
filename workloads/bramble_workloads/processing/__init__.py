"""The only implementation of what a package describes, in numpy and Pillow: preprocessing, running a model, golden cases.

Training's validation, calibration, evaluation, the benchmark and the device use it, so that a model sees the same input everywhere. How
outputs become an answer is the task's part (`bramble_workloads.tasks`).
"""
