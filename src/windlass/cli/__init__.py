"""The command line: a face of the client; it knows no store."""
