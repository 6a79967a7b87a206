"""Noise simulation: who hears which noise (assign), from which sample on (manifest), how loud (mix)."""
