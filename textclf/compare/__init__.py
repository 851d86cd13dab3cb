"""Which system is better, is the difference real, and what does it cost?"""
