"""Networks by name, and trained models with their classes and preprocessing."""
