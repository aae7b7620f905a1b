"""The log: one SQLite file that holds what was read, decided, sent and answered, and the call ledger."""
