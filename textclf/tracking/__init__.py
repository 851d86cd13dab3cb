"""Run folders and their records, who works in them, and the tracker that runs are logged to."""
