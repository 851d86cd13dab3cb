"""Cheaper training steps that leave what is learned the same."""
