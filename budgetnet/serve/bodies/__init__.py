"""From a request's body to images: one module for each kind of body, and one for what they have in common."""
