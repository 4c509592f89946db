"""Search for agents: one tool over a folder, any LangChain retriever, or the web."""

from langchain_atlas.tools.search.folder import FolderSearch
from langchain_atlas.tools.search.fusion import FusedSearch, fuse
from langchain_atlas.tools.search.passages import split_passages
from langchain_atlas.tools.search.providers import WEB_PROVIDERS, build_search
from langchain_atlas.tools.search.retrievers import RetrieverSearch
from langchain_atlas.tools.search.snippets import MAX_PASSAGE, SearchError, SearchProvider, Snippet
from langchain_atlas.tools.search.tavily import TavilySearchProvider
from langchain_atlas.tools.search.tool import SearchTool
from langchain_atlas.tools.search.web import BraveSearch, GoogleSearch, SearxngSearch, WebSearch

__all__ = [
    "MAX_PASSAGE",
    "WEB_PROVIDERS",
    "BraveSearch",
    "FolderSearch",
    "FusedSearch",
    "GoogleSearch",
    "RetrieverSearch",
    "SearchError",
    "SearchProvider",
    "SearchTool",
    "SearxngSearch",
    "Snippet",
    "TavilySearchProvider",
    "WebSearch",
    "build_search",
    "fuse",
    "split_passages",
]
