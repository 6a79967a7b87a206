"""Scores, tables and figures made from the predictions of trained systems."""
