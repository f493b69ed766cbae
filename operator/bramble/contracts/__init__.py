"""What the operator, the jobs, the gateway and the devices agree on, typed once.

It is the lowest package: it imports pydantic and an RFC 8785 library and nothing else. Beside the S3 client, `bramble.objectstore`, it is
all that `bramble_workloads` may import of the operator.
"""

__version__ = "0.1.0"
"""The version of Bramble as a whole. It is written here because images carry code without package metadata."""
