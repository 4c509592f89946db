"""``route``: decide for one query, and explain."""

from typing import Annotated

import typer

from langchain_atlas.cli.shared import common


def route(
    text: Annotated[str, typer.Argument(help="The query.")],
    router: common.RouterOption,
    context: Annotated[str | None, typer.Option("--context", help="Context of the query, as text.")] = None,
    no_cache: common.NoCacheOption = False,
    json: common.JsonOption = None,
) -> None:
    """Decide which pair should answer a query, and say why. Calls no model."""
    del no_cache  # its callback has seen to it
    with common.loading():
        from langchain_atlas.errors import InvalidInputError
        from langchain_atlas.routers.saved.artifact import load_with_settings
        from langchain_atlas.trajectory import Query

        if not text.strip():
            raise InvalidInputError("The query is empty; give the text that is to be routed.")
        decision = load_with_settings(router).decide(Query(text=text, context=context))
    common.explain(decision, common.console())
    common.write_json(json, decision.to_json())
