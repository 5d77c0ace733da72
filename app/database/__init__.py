"""Where records live that outlast the process: SQLite in a file, or PostgreSQL by one setting."""
