"""The server under load, which comes from wrk."""
