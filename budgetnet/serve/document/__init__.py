"""What OpenAPI says of the server, and the page that shows it."""
