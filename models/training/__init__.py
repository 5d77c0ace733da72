"""Learn weights."""
