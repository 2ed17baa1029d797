"""How it is done here: PostgreSQL, settings, clock, telemetry."""
