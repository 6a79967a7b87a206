"""Runs: what they are made from, where they lie, which are finished."""
