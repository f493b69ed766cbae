"""What a client may take of the server. Clients are strangers, and a board is small."""

from __future__ import annotations

MAX_CONNECTIONS = 512
"""One more takes the place of one of the client that has the most, or of one without a request (`HttpServer.opened`)."""
MAX_HEAD = 32 * 1024
"""Bytes of a request line and its headers together."""
MAX_BODIES = 64 * 1024 * 1024
"""Bytes of all bodies that arrive or are being answered. The memory of a device is for models."""
MAX_CHUNK_OVERHEAD = 8
"""Bytes of chunk sizes, extensions and trailers for each byte of a chunked body, above `MAX_HEAD`."""
BUFFER = 4096
"""Bytes of heads and chunked bodies that are read at once. More than these are never kept of what follows a request that is not answered,
and no more requests are parsed ahead than fit into them. A body of announced length is read at once into its own memory."""

IDLE_SECONDS = 75.0
"""Without a request."""
HEAD_SECONDS = 10.0
"""From the first byte of a request to the last one of its head."""
BODY_SECONDS = 30.0
"""For a body to arrive, and for progress of an answer that is read slowly."""
BYTES_A_SECOND = 32 * 1024
"""What a slow client sends and reads at the least: each so many bytes of a body give it another second."""
CLOSING_SECONDS = 5.0
"""After the last answer, for a client that still sends: closed at once, the answer could be lost."""
SWEEP_SECONDS = 0.5
"""Between two looks for connections whose time is over."""
