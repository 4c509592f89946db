"""Who decides: routers."""
