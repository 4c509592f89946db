"""The one loop: its turns, what a turn may want done, and what it needs of routers and executors."""
