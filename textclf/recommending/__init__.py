"""A model recommended for a person's data: a ladder of models, climbed within a time."""
