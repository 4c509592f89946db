"""Does routing pay, and does everything in a pool work?"""
