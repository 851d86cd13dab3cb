"""What keeps a run safe: who works on its folder, what it was begun with, and when it is finished."""
