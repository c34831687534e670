"""A whole study: from a cohort to a report."""
