"""What is true of money. No clock, no I/O: time comes in as an argument."""
