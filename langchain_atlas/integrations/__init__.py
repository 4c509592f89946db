"""The integrations: LangGraph nodes and graphs, middleware, chat model and chains that run the loop."""
