"""Log mel filter banks (LMFB), in memory and in ark/scp."""
