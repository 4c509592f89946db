"""Limits of one query (`trajectory_limits`), and of many calls, users and processes (`settings`, `meter`)."""
