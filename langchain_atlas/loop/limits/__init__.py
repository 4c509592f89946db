"""Limits of one query (`per_query`), and of many calls, users and processes (`Limits` in `settings`; `meter`)."""
