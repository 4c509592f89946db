"""Mathematics: is a result equivalent to the expected one?"""
