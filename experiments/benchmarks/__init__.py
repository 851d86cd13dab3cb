"""How fast textclf is beside the programs that it would replace: one command a table."""
