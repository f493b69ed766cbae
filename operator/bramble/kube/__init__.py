"""Access to the Kubernetes API: resources, keys, the configuration of the connection, and the client."""
