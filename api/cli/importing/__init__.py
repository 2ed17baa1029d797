"""Files of payments, sent through the public REST."""
