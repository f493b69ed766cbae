"""`make demo`: the whole way on a local cluster, watched from outside with kubectl, as a user would."""
