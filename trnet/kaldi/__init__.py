"""Kaldi-style data directories and ark/scp archives."""
