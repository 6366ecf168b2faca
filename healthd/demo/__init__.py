"""A real Kafka fleet on one machine, for the demonstration and for the tests alike."""
