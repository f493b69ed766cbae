"""The Kubernetes API as Bramble uses it: resources, keys, one client, server-side apply. Knows no kind of ours."""
