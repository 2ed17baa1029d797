"""How it is done here: PostgreSQL, Kafka, carriers, secrets, settings, logs."""
