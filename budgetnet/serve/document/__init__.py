"""OpenAPI descriptions of the server, and the page that shows them."""
