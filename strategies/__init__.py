"""Policies: one per file, pure, equal in rank to any found by the entry point `sunmode.strategies`."""
