"""Entry points, one thin file a stage: ``python -m trnet.bin.<verb> --help``."""
