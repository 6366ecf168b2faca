"""healthd looks after a fleet of Apache Kafka clusters."""

__version__ = "0.1.0"
