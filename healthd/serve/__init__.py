"""HTTP: the API, authentication and /metrics, on top of what the daemon published last."""
