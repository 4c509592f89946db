"""The doors: LangGraph nodes and graphs that run the loop."""
