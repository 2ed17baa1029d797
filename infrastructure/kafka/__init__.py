"""The events in Kafka: the mirror that puts them there, and the feed that reads them."""
