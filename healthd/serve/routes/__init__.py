"""The routes, one small router for each part of the API."""
