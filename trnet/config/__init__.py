"""The experiment's settings: what a YAML file may say, and what it then means."""
