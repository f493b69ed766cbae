"""The custom resources that users write and read, their schema, and the CRDs that are generated from them.

Nothing here needs a cluster or a client library, so a CLI, a console or another controller can import it.
"""
