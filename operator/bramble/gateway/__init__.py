"""The gateway: a stateless TLS server that devices and jobs call, so that nothing ever has to connect to them (package contract, §2).

It needs no storage: reports and progress are in memory only, and after a restart devices and jobs send them again within seconds.

`server` puts the parts together. `calls` has one method per call; `identity` and `jobs` find out who calls. The modules `assignments`,
`blobs`, `reports` and `results` hold the data that the calls read and write.
"""
