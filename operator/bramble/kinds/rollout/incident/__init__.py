"""The report of an undo for people: what happened when, by which evidence, on which nodes, and what differs between the two versions."""
