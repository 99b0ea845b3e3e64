"""The seams: what the layers above promise each other, and nothing that runs by itself."""
