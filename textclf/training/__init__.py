"""The two engines that fine-tune a transformer, and what they share."""
