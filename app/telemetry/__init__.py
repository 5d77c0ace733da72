"""Seeing inside: metrics, logs and traces.  Knows no engine and no route; both hand it numbers."""
