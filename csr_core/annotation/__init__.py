"""The annotation studio: what readers mark, kept for good, and turned into training data."""
