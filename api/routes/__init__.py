"""One file a resource: a route is found by its URL."""
