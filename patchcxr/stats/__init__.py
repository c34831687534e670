"""Statistics over tables: intervals and comparisons."""
