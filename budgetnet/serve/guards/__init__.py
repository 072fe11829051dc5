"""What stands around the routes, each for one reason; pure ASGI, since every request passes all of them."""
