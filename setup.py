"""Package metadata of trnet: see pyproject.toml."""

from setuptools import setup

setup()
