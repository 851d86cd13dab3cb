"""Holds the one file that Streamlit runs; it puts this folder, and nothing else of textclf, on the import path."""
