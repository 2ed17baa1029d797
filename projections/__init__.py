"""What can be read: folds, their tables and queries, and the worker that feeds them."""
