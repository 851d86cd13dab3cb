"""Where runs are logged beside their folder."""
