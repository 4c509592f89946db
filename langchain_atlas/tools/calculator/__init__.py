"""A calculator for agents: exact where it can be, certain in every digit it shows, and bounded in every direction."""

from langchain_atlas.tools.calculator.tool import Calculator, CalculatorInput, evaluate

__all__ = ["Calculator", "CalculatorInput", "evaluate"]
