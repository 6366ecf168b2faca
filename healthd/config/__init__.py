"""Settings, fleet file and wave file: read, checked, and turned into frozen values."""
