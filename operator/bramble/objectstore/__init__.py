"""The one S3 client of the operator, the gateway and the jobs.

It uses only plain S3, without extensions of a single server. It imports only `bramble.contracts`. `bramble_workloads` may import
this package and the contracts, and nothing else of the operator. `minio` is imported with the first client and not with these
modules, because the init container and the sidecar of a training pod must start fast, and boards have no `minio` at all.
"""
