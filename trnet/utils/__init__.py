"""Small tools that every part uses: errors, files, names, stamps, worker processes."""
