"""Fine-tuned transformers: checkpoint, tokenizer, encoded texts, classifier."""
