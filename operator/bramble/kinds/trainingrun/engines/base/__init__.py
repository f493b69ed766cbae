"""The interface of an engine, and what the pods of every engine have in common."""
