"""How right is an answer?"""
