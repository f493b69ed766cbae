"""Answering requests: the HTTP API, the protocol, the endpoint that swaps models, and what is counted."""
