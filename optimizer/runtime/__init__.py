"""The live cycle: read, decide, command, record; the only room that waits."""
