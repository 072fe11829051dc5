"""Sockets, connections and processes: uvicorn, and what it leaves to others."""
