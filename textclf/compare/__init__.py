"""Compare trained models: scores, tests of their differences, and costs."""
