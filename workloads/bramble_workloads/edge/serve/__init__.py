"""Answers requests: the HTTP API, the Open Inference Protocol, the endpoint that swaps packages, and the counters."""
