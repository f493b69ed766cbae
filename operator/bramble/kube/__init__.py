"""The Kubernetes API as Bramble uses it: resources, keys, the connection, and one client for all calls."""
