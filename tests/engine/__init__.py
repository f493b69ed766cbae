"""The engine on a real API server."""
