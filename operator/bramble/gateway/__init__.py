"""The gateway: one stateless TLS server between devices, jobs and everything else (package contract, §2).

Devices and jobs open connections to it and nothing ever connects to them. It holds no state that a restart may not lose: what a
device or a job says of itself stands in memory until the next time it says it.

`server` puts the parts together; `identity` and `jobs` say who calls; one module a call says what it does.
"""
