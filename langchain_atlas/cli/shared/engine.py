"""The options that say where long work is done, in one place for `profile`, `fit`, `train` and `evaluate`."""

from __future__ import annotations

from typing import Annotated

import typer

_LOCAL = "local"
_RAY = "ray"
_ENGINES = (_LOCAL, _RAY)


def use_engine(context: typer.Context, name: str) -> str:
    """Have the command do its long work with an engine.

    Raises:
        SettingError: there is no such engine, or an address is given that it has no use for, or that is wrong.
        MissingExtraError: the engine is not installed.
    """
    from langchain_atlas.errors import SettingError, suggest

    address: str | None = context.params.get("ray_address")  # eager, so it is known by now
    if name not in _ENGINES:
        raise SettingError(f"--engine is {name!r}. {suggest(name, _ENGINES)}")
    if name == _RAY:
        from langchain_atlas.engines import using_engine
        from langchain_atlas.engines.ray import RayEngine

        context.with_resource(using_engine(RayEngine(address)))
    elif address is not None:
        raise SettingError(f"--ray-address is {address!r}, but --engine is {name!r}. Add --engine ray.")
    return name


EngineOption = Annotated[
    str,
    typer.Option(
        "--engine", help="Where long work is done: local, or ray, on the machines of a cluster.", callback=use_engine
    ),
]
RayAddressOption = Annotated[
    str | None,
    typer.Option(
        "--ray-address",
        help="With --engine ray: HOST:PORT of the cluster's head, or auto; by default one is started on this machine.",
        is_eager=True,
    ),
]
