"""trnet: noise-robust speech emotion recognition with a speech-enhancement front-end (TRNet)."""

__version__ = "0.1.0"
