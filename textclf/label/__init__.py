"""Labels suggested for texts that have none, for people to correct, the least certain first."""
