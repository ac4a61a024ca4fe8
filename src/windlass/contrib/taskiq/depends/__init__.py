"""Dependencies that taskiq brings along."""
