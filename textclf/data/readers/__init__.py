"""Rows of files and folders, whatever their format, each with the line it begins on."""
