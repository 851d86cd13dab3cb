"""The pages; what they show is worked out elsewhere, where it can be tested without a browser."""
