"""Features and noisy coordinates in, clean coordinates out."""
