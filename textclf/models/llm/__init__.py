"""Large language models that are asked for the class of a text, through a server that speaks OpenAI's protocol."""
