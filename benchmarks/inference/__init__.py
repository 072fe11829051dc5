"""How fast trained networks answer, and how well they read photographs."""
