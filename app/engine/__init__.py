"""Many requests, one device."""
