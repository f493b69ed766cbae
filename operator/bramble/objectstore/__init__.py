"""The one S3 client of the operator, the gateway and the jobs.

It speaks plain S3 and uses nothing that only one server understands. It stands directly above `bramble.contracts`, and with the
contracts it is all that `bramble_workloads` may import of the operator. `minio` is imported with the first client and not with these
modules, because the init container and the sidecar of a training pod must start fast, and boards have no `minio` at all.
"""
