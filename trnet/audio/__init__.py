"""Audio files: decoding, resampling, cropping."""
