"""How fast networks train, and what that costs in memory, start-up and verdicts."""
