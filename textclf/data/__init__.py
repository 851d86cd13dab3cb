"""Texts and labels: from the Hub, from files, split and checked."""
