"""How fast front-ends are, and against what."""
