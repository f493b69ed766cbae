"""The limits of operator and gateway: a thousand simulated devices on a local cluster (`make scale`)."""
