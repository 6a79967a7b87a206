"""Noise simulation: which clip each utterance gets (assign), from which sample on (manifest), how loud (mix)."""
